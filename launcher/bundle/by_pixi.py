"""Install packages by pixi, frozen and offline."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess

from launcher.bundle.errors import BundleError
from launcher.errors import StartError
from launcher.pixi.answers import complaint
from launcher.pixi.capture import capture
from launcher.pixi.project import QUIET, VERSION_S
from launcher.pixi.versions import parse_version, render_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    from launcher.bundle.model import Target
    from launcher.bundle.progress import Progress

LOOK_S = 0.5
GRACE_S = 5.0
FULL = "os error 28"
# What a shell in another pixi environment has, and pixi would take for an answer.
DROPPED = ("PIXI_IN_SHELL", "PIXI_ENVIRONMENT_NAME", "PIXI_PROJECT_ROOT", "PIXI_PROJECT_MANIFEST",
           "PIXI_FROZEN", "PIXI_LOCKED", "PIXI_NO_INSTALL")  # fmt: skip


def find_version(program: str, environ: Mapping[str, str]) -> str | None:
    """Return the version of a pixi; None where the program is another one."""
    try:
        answer = capture((program, "--version"), {**QUIET, **environ}, VERSION_S)
    except OSError:
        return None
    version = parse_version(answer.out) if answer.code == 0 else None
    return render_version(version) if version is not None else None


def install_environment(
    program: str, target: Target, environ: Mapping[str, str], progress: Progress, lock: int
) -> None:
    """Install an environment as its project's lock says.

    `lock` is a descriptor that pixi inherits: who waits for it, waits for pixi too, should it
    outlive us.

    Raises:
        BundleError: pixi cannot install it.
        StartError: pixi cannot be executed.
        OSError: the disk is full.
    """
    os.makedirs(target.cache, exist_ok=True)
    with open(os.path.join(target.cache, "complaints"), "w+b") as stderr:
        process = _start(program, target, environ, stderr, lock)
        try:
            code = _wait(process, target, progress)
        finally:
            _end(process)
        stderr.seek(0)
        said = complaint(stderr.read().decode("utf-8", "replace"))
    if code == 0:
        return
    if FULL in said:
        raise OSError(errno.ENOSPC, "no space left on device", target.root)
    raise BundleError(
        f"'pixi install' has failed: {said or f'exit code {code}'}",
        "try without pixi: pip install 'vllmd[bundle]', and --by rattler",
    )


def _start(
    program: str, target: Target, environ: Mapping[str, str], stderr: IO[bytes], lock: int
) -> subprocess.Popen[bytes]:
    words = (
        program,
        "install",
        "--frozen",
        "--manifest-path", target.root,
        "--environment", target.environment,
    )  # fmt: skip
    kept = {name: value for name, value in environ.items() if name not in DROPPED}
    # Nothing of the user's configuration or caches: they decide what is installed, and where.
    own = {"PIXI_CACHE_DIR": target.cache, "PIXI_NO_CONFIG": "1"}
    try:
        return subprocess.Popen(
            words,
            cwd=target.root,
            env={**kept, **QUIET, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=(lock,),
            process_group=0,
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"cannot execute '{program}': {reason}", "see its permissions") from None


def _wait(process: subprocess.Popen[bytes], target: Target, progress: Progress) -> int:
    records = os.path.join(target.prefix(), "conda-meta")
    while True:
        try:
            return process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            names = os.listdir(records) if os.path.isdir(records) else ()
            done = sum(name.endswith(".json") for name in names)
            progress.count_done(done, len(target.packages))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of it running, where it has not ended by itself."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
