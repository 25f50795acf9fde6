"""What comes before the flags: the interpreter and module, by pixi or without it."""

from __future__ import annotations

from launcher.config.problems import ERROR, WARNING
from launcher.server.facts import is_vllm_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.reader import Problems
    from launcher.process.spec import Variable
    from launcher.server.facts import Facts, PixiFacts
    from launcher.server.model import Instance, MasterConfig

PIXI_DIR = ("master", "pixi_project_dir")
NAMES_PYTHON = frozenset(("python", "pixi_project_dir"))  # keys of [master]


def plan_command(master: MasterConfig, facts: Facts, problems: Problems) -> tuple[str, ...]:
    """Return the words that start the server's module; empty, with a problem, if they cannot."""
    if facts.pixi is not None:
        return _pixi_command(master, facts.pixi, problems)
    python = facts.python
    if python.path is None:
        _note_missing(master, facts, problems)
        return ()
    if master.python is not None and _lacks_vllm(facts):
        message = f"'python': no vLLM was found beside '{python.path}'"
        hint = "install vLLM there, or name the Python that has it"
        problems.add(("master", "python"), message, hint, severity=WARNING)
    return (python.path, "-m", master.api_server_module)


def _lacks_vllm(facts: Facts) -> bool:
    """Tell whether nothing shows that the interpreter has vLLM: a path of its own may, unseen."""
    return is_vllm_module(facts.module) and not facts.elsewhere and not facts.python.vllm_version


def _note_missing(master: MasterConfig, facts: Facts, problems: Problems) -> None:
    looked = ", ".join(facts.python.looked_at) or "no folder on PATH holds a python3"
    if master.python is not None:
        message = f"'python': there is no program '{master.python}'"
        problems.add(
            ("master", "python"), message, "correct the path, or install it there", missing=True
        )
        return
    table = problems.tree.data.get("master")
    if isinstance(table, dict) and not NAMES_PYTHON.isdisjoint(table):
        return  # what was written there could not be read, which is said already
    message = f"no Python with vLLM was found; looked at: {looked}"
    hint = 'install vLLM, or set python = "/path/to/python" in [master]'
    problems.add((), message, hint, missing=True)


def _pixi_command(master: MasterConfig, pixi: PixiFacts, problems: Problems) -> tuple[str, ...]:
    directory = master.pixi_project_dir or ""
    environment = master.pixi_environment
    for each in pixi.problems:
        problems.add(
            each.path, each.message, each.hint, severity=each.severity, missing=each.missing
        )
    if pixi.program is None and master.pixi_launch != "hook":
        message = "'pixi_project_dir' is set, but there is no program 'pixi' on PATH"
        hint = (
            "install pixi from its own releases (the packages called pixi on PyPI and npm are "
            'other programs), or set pixi_launch = "hook", which needs none'
        )
        problems.add(PIXI_DIR, message, hint, missing=True)
    if not pixi.has_manifest:
        message = f"'pixi_project_dir': there is no pixi.toml in '{directory}'"
        problems.add(PIXI_DIR, message, "mount the pixi project there, or correct the path")
    elif not pixi.has_python and not any(each.severity == ERROR for each in pixi.problems):
        # Without this check pixi would silently run the python of the system.
        message = f"the pixi environment '{environment}' is not installed: no '{pixi.python}'"
        hint = (
            f"run 'pixi install --frozen --environment {environment}' in '{directory}', or install "
            "a bundle: vllmd bundle install"
        )
        problems.add(PIXI_DIR, message, hint, missing=True)
    if master.pixi_launch == "hook":
        return (pixi.python, "-m", master.api_server_module)
    # --as-is: never solve, install or touch the network. All options before `python`: pixi's end
    # there. The environment is always named, or a leaked PIXI_ENVIRONMENT_NAME would choose.
    return (
        pixi.program or "pixi",
        "run",
        *pixi.options,
        "--manifest-path", directory,
        "--environment", environment,
        "python",
        "-m", master.api_server_module,
    )  # fmt: skip


def check_overridden(
    instance: Instance, variables: tuple[Variable, ...], facts: Facts, problems: Problems
) -> None:
    """Warn of variables of a server that the pixi manifest sets too: under `pixi run` it wins."""
    overridden = facts.pixi.overridden if facts.pixi else frozenset()
    for variable in variables:
        if variable.name in overridden:
            message = (
                f"the pixi manifest sets '{variable.name}' in [activation.env], and under "
                f"'pixi run' that wins over what '{instance.name}' is given"
            )
            hint = 'remove it there, or set pixi_launch = "hook" in [master]'
            problems.add(PIXI_DIR, message, hint, severity=WARNING)
