"""Look at this machine: answer the questions of `launcher.server.facts`. Nothing is changed."""

from __future__ import annotations

import os
import stat

from launcher.process.orphans import can_adopt_orphans
from launcher.record import replace
from launcher.server.catalogue.data import load_catalogue, load_environment
from launcher.server.catalogue.installed import find_installed, find_version
from launcher.server.facts import UNSET, Facts, PixiFacts, PythonFacts, is_vllm_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.server.catalogue.installed import Installed
    from launcher.server.facts import Questions

INTERPRETERS = ("python3", "python")
MANIFESTS = ("pixi.toml", "pyproject.toml")
DEVICES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
SECRET_LIMIT = 64 * 1024  # characters; what is larger is no token


def gather(
    asked: Questions, environ: Mapping[str, str], own_python: str, vllm_version: str = ""
) -> Facts:
    """Answer the questions. `own_python` is the interpreter that runs this launcher.

    `vllm_version`, if given, is taken for the installed one.
    """
    secrets, secret_faults = _secrets(asked.secret_files)
    python = _python(asked, environ, own_python)
    pixi = _pixi(asked, environ) if asked.pixi_project_dir else None
    found = pixi.vllm_version if pixi else python.vllm_version
    is_vllm = is_vllm_module(asked.module)
    program = pixi.python if pixi else python.path
    clustered = program if asked.spans_machines and is_vllm else None
    return Facts(
        module=asked.module,
        environ=environ,
        ray_version=find_version("ray", clustered, environ) if clustered else None,
        python=python,
        pixi=pixi,
        vllm_version=vllm_version or found,
        compile_cache_is_empty=is_vllm and _is_empty(_compile_cache(environ)),
        adopts_orphans=can_adopt_orphans(),
        catalogue=load_catalogue(vllm_version or found or "") if is_vllm else None,
        environment_names=load_environment() if is_vllm and asked.names_variables else "",
        accelerators=any(os.path.exists(path) for path in DEVICES),
        missing_models=_faults(asked.model_dirs, model_fault),
        log_faults=_faults(asked.log_files, log_fault),
        secrets=secrets,
        secret_faults=secret_faults,
    )


def assume(asked: Questions, environ: Mapping[str, str], vllm_version: str = "") -> Facts:
    """Answer the questions for another machine, one that has everything the configuration names."""
    pixi = PixiFacts(program="pixi", python="python", has_python=True, has_manifest=True)
    is_vllm = is_vllm_module(asked.module)
    return Facts(
        module=asked.module,
        environ=environ,
        python=PythonFacts(path=asked.python or INTERPRETERS[0]),
        pixi=pixi if asked.pixi_project_dir else None,
        vllm_version=vllm_version or None,
        catalogue=load_catalogue(vllm_version) if is_vllm else None,
        environment_names=load_environment() if is_vllm and asked.names_variables else "",
        missing_models={},
        log_faults={},
        secrets={},
        secret_faults={},
        elsewhere=True,
    )


def find_default_version(environ: Mapping[str, str], own_python: str) -> str:
    """Return the version of the vLLM that an empty configuration would run; empty for none."""
    for path in dict.fromkeys((*_on_path(INTERPRETERS, environ), own_python)):
        version = _vllm_version(path, environ)
        if version is not None:
            return version
    return ""


def find_program(name: str, environ: Mapping[str, str]) -> str | None:
    """Find a program as the shell does; a name with a slash is a path."""
    if "/" in name:
        return os.path.abspath(name) if _is_program(name) else None
    return next(iter(_on_path((name,), environ)), None)


def model_fault(path: str) -> str | None:
    """Say why a path cannot be a local model, or None if it can."""
    if path.startswith("~"):
        return "begins with '~', which vLLM does not expand"
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        return _absence(error)
    if not os.access(path, os.R_OK | os.X_OK if is_folder else os.R_OK):
        return "cannot be read by this user"
    # What Docker mounts where the folder of the host does not exist.
    return "is an empty folder" if is_folder and not os.listdir(path) else None


def _absence(error: OSError) -> str:
    """Say why nothing can be known of a path."""
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if isinstance(error, NotADirectoryError):
        return "is inside something that is not a folder"
    if isinstance(error, PermissionError):
        return "is in a folder that this user cannot enter"
    return f"cannot be looked at: {(error.strerror or str(error)).lower()}"


def log_fault(path: str) -> str | None:
    """Say why a path cannot be a log, or None if it can.

    A link or another user's file would let somebody else choose what we write to.
    """
    if path.endswith("/"):
        return "is a folder"
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return _folder_fault(os.path.dirname(path))
    except OSError as error:
        return _absence(error)
    return _file_fault(path, status)


def _file_fault(path: str, status: os.stat_result) -> str | None:
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link"
    if not stat.S_ISREG(status.st_mode):
        return "is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file"
    if status.st_uid != os.geteuid():
        return f"belongs to another user (uid {status.st_uid})"
    return None if os.access(path, os.W_OK) else "cannot be written by this user"


def _folder_fault(folder: str) -> str | None:
    """Say why a folder cannot be written, or made where it is missing."""
    here = folder
    while not os.path.lexists(here):
        here = os.path.dirname(here)
    if not os.path.isdir(here):
        return f"cannot be made: '{here}' is not a folder"
    if os.access(here, os.W_OK | os.X_OK):
        return None
    if os.statvfs(here).f_flag & os.ST_RDONLY:
        return f"cannot be made: '{here}' is on a read-only file system"
    return f"cannot be made: '{here}' cannot be written by this user"


def _python(asked: Questions, environ: Mapping[str, str], own_python: str) -> PythonFacts:
    if asked.pixi_project_dir:
        return PythonFacts(path=None)
    if asked.python is not None:
        path = find_program(asked.python, environ)
        return _with_vllm(path, find_installed(path, environ) if path else None)
    candidates = dict.fromkeys(_on_path(INTERPRETERS, environ))
    candidates.setdefault(own_python)
    if not is_vllm_module(asked.module):
        # Nobody can tell who has it; the shell's choice is what the user would have typed.
        return PythonFacts(path=next(iter(candidates)))
    for path in candidates:
        installed = find_installed(path, environ)
        if installed is not None:
            return _with_vllm(path, installed)
    return PythonFacts(path=None, looked_at=tuple(candidates))


def _compile_cache(environ: Mapping[str, str]) -> str:
    """Return the folder where vLLM keeps what it has compiled (vllm/envs.py, 0.32)."""
    caches = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME", "/"), ".cache")
    root = environ.get("VLLM_CACHE_ROOT") or os.path.join(caches, "vllm")
    return os.path.join(os.path.expanduser(root), "torch_compile_cache")


def _is_empty(folder: str) -> bool:
    try:
        return not os.listdir(folder)
    except OSError:
        return True  # there is none


def _with_vllm(path: str | None, installed: Installed | None) -> PythonFacts:
    if installed is None:
        return PythonFacts(path=path)
    return PythonFacts(
        path=path,
        vllm_version=installed.version,
        distribution=installed.distribution,
        site=installed.site,
    )


def _vllm_version(python: str, environ: Mapping[str, str]) -> str | None:
    installed = find_installed(python, environ)
    return installed.version if installed else None


def _pixi(asked: Questions, environ: Mapping[str, str]) -> PixiFacts:
    directory = asked.pixi_project_dir or ""
    python = f"{directory.rstrip('/')}/.pixi/envs/{asked.pixi_environment}/bin/python"
    installed = find_installed(python, environ)
    facts = PixiFacts(
        program=find_program("pixi", environ),
        python=python,
        has_python=_is_program(python),
        has_manifest=any(os.path.isfile(os.path.join(directory, name)) for name in MANIFESTS),
        vllm_version=installed.version if installed else None,
        distribution=installed.distribution if installed else "",
        site=installed.site if installed else "",
    )
    if not (asked.pixi_launch and facts.has_manifest):
        return facts
    if not facts.program and not (asked.pixi_launch == "hook" and facts.has_python):
        return facts
    return _with_project(facts, asked, environ)


def _with_project(facts: PixiFacts, asked: Questions, environ: Mapping[str, str]) -> PixiFacts:
    """Ask pixi itself, in the environment that the servers will have."""
    from launcher.pixi.project import Wish, look  # noqa: PLC0415  (few need it)

    wish = Wish(
        program=facts.program or "",
        directory=asked.pixi_project_dir or "",
        environment=asked.pixi_environment,
        launch=asked.pixi_launch,
        python=facts.python,
    )
    inherited = {name: value for name, value in environ.items() if name not in UNSET}
    project = look(wish, {**inherited, **dict(asked.pixi_variables)})
    python = facts.python
    if wish.launch == "hook" and project.variables is not None:
        # Pixi alone knows where environments are: `detached-environments` keeps them elsewhere.
        # Its answer holds only what it changes: nothing, where we run in this environment.
        prefix = {**inherited, **dict(project.variables)}.get("CONDA_PREFIX")
        python = f"{prefix}/bin/python" if prefix else facts.python
    installed = find_installed(python, environ)
    return replace(
        facts,
        python=python,
        has_python=_is_program(python),
        vllm_version=installed.version if installed else None,
        distribution=installed.distribution if installed else "",
        site=installed.site if installed else "",
        options=project.options or facts.options,
        variables=project.variables or (),
        overridden=project.overridden,
        problems=project.problems,
    )


def _secrets(paths: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str]]:
    secrets, faults = {}, {}
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read(SECRET_LIMIT + 1)
        except UnicodeDecodeError:
            faults[path] = "is not text"
        except OSError as error:
            faults[path] = f"cannot be read: {(error.strerror or str(error)).lower()}"
        else:
            secrets[path] = text.rstrip("\r\n")
            fault = _secret_fault(text)
            if fault:
                faults[path] = fault
    return secrets, faults


def _secret_fault(text: str) -> str | None:
    if len(text) > SECRET_LIMIT:
        return f"is longer than {SECRET_LIMIT} characters, too long for a secret"
    if "\0" in text:
        return "is not text"
    return None if text.strip("\r\n") else "is empty"


def _faults(paths: tuple[str, ...], fault: Callable[[str], str | None]) -> dict[str, str]:
    found = {path: fault(path) for path in dict.fromkeys(paths)}
    return {path: reason for path, reason in found.items() if reason is not None}


def _on_path(names: tuple[str, ...], environ: Mapping[str, str]) -> list[str]:
    # An empty entry means the current folder to a shell; a launcher takes no program from there.
    folders = [folder for folder in environ.get("PATH", os.defpath).split(":") if folder]
    folders = [folder for folder in folders if folder.startswith("/")]
    paths = [os.path.join(folder, name) for folder in folders for name in names]
    return [path for path in paths if _is_program(path)]


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
