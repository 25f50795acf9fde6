"""Start, signal and reap processes. The only module that forks.

`os.fork` rather than `subprocess`: PID 1 has one thread, every child is reaped in one place (so
no exit code can be lost to a second reaper), and importing `subprocess` costs half an interpreter
start.
"""

from __future__ import annotations

import os
import signal

from launcher.errors import StartError
from launcher.process.orphans import end_with_parent
from launcher.process.spec import exit_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from launcher.process.spec import ExitStatus, ProcessSpec

# What Python, or `start`, ignores and a program expects at its default (signal(7)).
RESTORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTTOU)

OURS = ("NOTIFY_SOCKET",)  # systemd hears from us alone
# Tells the processes of an instance wherever they go (`leftovers`).
MARKER = "VLLMD_INSTANCE"


def child_environment(spec: ProcessSpec, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a process."""
    dropped = (*spec.unset, *OURS)
    kept = {name: value for name, value in environ.items() if name not in dropped}
    own = {variable.name: variable.value for variable in spec.env}
    return {**kept, **own, MARKER: spec.name}


def start(
    spec: ProcessSpec, environ: Mapping[str, str], output: int | None, source: int | None = None
) -> int:
    """Start a process and return its pid.

    With `output`, a descriptor, the process leads a session of its own, reads nothing (or from
    `source`) and writes there. Without, it gets our standard streams, in a process group of its
    own.

    Raises:
        StartError: the program could not be executed.
        OSError: there is no descriptor or process to be had.
    """
    environment = child_environment(spec, environ)
    if output is None:
        # The program gets the terminal: what we say then could stop us (`stty tostop`), and the
        # forked copy has to hand the terminal over.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    parent = os.getpid()
    told, tell = os.pipe()  # closed by a successful exec, carries the reason of a failed one
    try:
        pid = os.fork()
    except OSError:
        os.close(told)
        os.close(tell)
        raise
    if pid == 0:
        _become(spec, environment, (source, output), tell, parent)
    os.close(tell)
    with os.fdopen(told, "rb") as report:
        reason = os.fsdecode(report.read())
    if reason:
        os.waitpid(pid, 0)
        raise StartError(reason, "correct the path of the program")
    return pid


def _become(
    spec: ProcessSpec,
    environment: dict[str, str],
    streams: tuple[int | None, int | None],
    tell: int,
    parent: int,
) -> NoReturn:
    """Turn the forked copy of us into the program. Never returns into the launcher's code."""
    try:
        signal.set_wakeup_fd(-1)  # the pipe behind it is still our parent's
        end_with_parent(parent)
        source, output = streams
        if output is None:
            _lead_group()
        else:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY) if source is None else source, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
        restore_signals()
        if spec.cwd is not None:
            os.chdir(spec.cwd)
        os.execvpe(spec.argv[0], spec.argv, environment)  # noqa: S606  (no shell is the point)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in a word
        cause = getattr(error, "strerror", None) or str(error)
        os.write(tell, os.fsencode(f"'{spec.argv[0]}': {cause.lower()}"))
    finally:
        os._exit(127)


def restore_signals() -> None:
    """Give signals that Python ignores for itself their default again, before an exec."""
    for number in RESTORED:
        signal.signal(number, signal.SIG_DFL)


def _lead_group() -> None:
    """Lead a process group, and make it the terminal's if ours was.

    Before the exec: a program that reads from the terminal sooner would be stopped by SIGTTIN,
    and nobody would wake it.
    """
    has_terminal = os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    os.setpgid(0, 0)
    if has_terminal:
        os.tcsetpgrp(0, os.getpid())


def take_terminal(pid: int) -> None:
    """Be the terminal's process group again after the one that had it: Ctrl-C is for us now."""
    try:
        if os.isatty(0) and os.tcgetpgrp(0) == pid:
            os.tcsetpgrp(0, os.getpgrp())
    except OSError:
        return  # the terminal has gone


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to one process; one that has ended needs none."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def send_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to the whole process group that a process leads or led."""
    if pid <= 1:
        raise ValueError(f"no group of ours is led by pid {pid}")  # 0 would be our own group
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        # Nobody is left, or only processes that have taken another user's rights.
        return


def has_group(pid: int) -> bool:
    """Tell whether any process is left of the group that a process leads or led."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def reap() -> list[tuple[int, ExitStatus]]:
    """Collect every child that has ended, strangers included, and say how."""
    ended: list[tuple[int, ExitStatus]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, exit_status(status)))


def children() -> list[int]:
    """Return the pids of all our children, adopted ones too (proc(5), `children`)."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []  # a kernel without CONFIG_PROC_CHILDREN
