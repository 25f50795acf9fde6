"""Doing it, visibly: steps with their times, programs of the host, room on its disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from launcher.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TAIL_LINES = 15
LOOK_S = 1.0  # how soon Ctrl-C is heard, at the latest
TIDY_S = 30.0  # for a program that is ended
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Steps:
    """Says on stderr which step is under way, and how long it took."""

    def __init__(self, total: int, *, verbose: bool = False) -> None:
        self._total = total
        self._count = 0
        self.verbose = verbose

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show a step while the body runs."""
        self._count += 1
        began = time.monotonic()
        self.say(f"{what} ...", f"[{self._count}/{self._total}] ")
        yield
        took = time.monotonic() - began
        self.say(f"done in {took:.0f} s", " " * 6)

    def say(self, text: str, head: str = "      ") -> None:
        """Write a line."""
        print(f"{head}{text}", file=sys.stderr, flush=True)


def run_tool(words: Sequence[str], steps: Steps, name: str) -> None:
    """Run a program of the host; show what it says if that is wanted, or if it fails.

    Raises:
        HostError: it failed.
    """
    sink = sys.stderr if steps.verbose else subprocess.PIPE
    environ = {**os.environ, "PATH": _path(os.environ), "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        words,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=subprocess.STDOUT,
        process_group=0,
    ) as process:
        try:
            said = _wait_end(process)
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        tail = (said or b"").decode("utf-8", "replace").splitlines()[-TAIL_LINES:]
        for line in tail:
            steps.say(f"| {line}")
        full = any("No space left" in line for line in tail)
        hint = "make room on the disk" if full else "the lines above say why"
        raise HostError(f"'{name}' ended with code {process.returncode}", hint)


def _wait_end(process: subprocess.Popen[bytes]) -> bytes | None:
    """Return what a program has said, once it has ended.

    Python looks for a signal only between its own steps, and one that comes just before a wait
    would be noticed after it: no wait is without an end.
    """
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=LOOK_S)[0]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and its children, and let it tidy up.

    Killed at once, mmdebstrap leaves a whole root in /tmp; asked alone, it waits for its children.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=TIDY_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def require_tools(packages: Mapping[str, str]) -> None:
    """Check that programs are there; `packages` says in which Debian package each of them is.

    Raises:
        HostError: some are missing; the hint installs all of them.
    """
    missing = [name for name in packages if not shutil.which(name, path=_path(os.environ))]
    if missing:
        names = " and ".join(f"'{name}'" for name in missing)
        needed = " ".join(dict.fromkeys(packages[name] for name in missing))
        raise HostError(
            f"{names} {'is' if len(missing) == 1 else 'are'} not on PATH",
            f"install {'it' if len(missing) == 1 else 'them'} with: apt-get install {needed}",
        )


def require_room(folder: str, wanted: int) -> None:
    """Check that a folder's disk has room for so many bytes.

    Raises:
        HostError: it has not.
    """
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < wanted:
        raise HostError(
            f"the disk of '{folder}' has {free / 1e9:.1f} GB left, "
            f"and {wanted / 1e9:.1f} GB are needed",
            "make room, or choose another disk with --output",
        )


def as_root() -> list[str]:
    """Return what makes a command root of its own files: nothing for root.

    Others get a user namespace, with the ids that /etc/subuid and /etc/subgid give them.
    """
    if os.geteuid() == 0:
        return []
    return ["unshare", "--map-root-user", "--map-auto", "--"]


def _path(environ: Mapping[str, str]) -> str:
    """Return PATH with the folders of system programs, which a user's PATH may lack."""
    return os.pathsep.join(filter(None, (environ.get("PATH", ""), SYSTEM_PATH)))
