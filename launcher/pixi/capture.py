"""Run a short command and collect what it prints, within a time limit.

Not `subprocess`: its import would be half an interpreter's start more. `posix_spawn`, so that
`process.child` stays the only module that forks.
"""

from __future__ import annotations

import os
import select
import signal
import time

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SLICE_MS = 20  # how late the end is seen of a program that left its output open to somebody else
CLOSED_MS = 2  # the same, once it has closed its output: it ends at any moment
CHUNK = 65536  # bytes
LIMIT = 4_000_000  # bytes; who prints more than that has gone astray
RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)  # ignored by Python, as in `process.child`


@record
class Answer:
    """What a command printed. `code` is 128 + signal for a killed one, None at the time limit."""

    code: int | None
    out: str
    err: str


def capture(argv: tuple[str, ...], environ: Mapping[str, str], within_s: float) -> Answer:
    """Run a command to its end; at the time limit, its whole process group is killed.

    `argv[0]` is the path of a program.

    Raises:
        OSError: it cannot be executed.
    """
    out, out_end = os.pipe()
    err, err_end = os.pipe()
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, out_end, 1),
        (os.POSIX_SPAWN_DUP2, err_end, 2),
    )
    try:
        try:
            pid = os.posix_spawn(
                argv[0], argv, environ, file_actions=actions, setpgroup=0, setsigdef=RESTORED
            )
        finally:
            os.close(out_end)
            os.close(err_end)
        printed: dict[int, bytearray] = {out: bytearray(), err: bytearray()}
        code = _collect(pid, printed, time.monotonic() + within_s)
    finally:
        os.close(out)
        os.close(err)
    texts = [bytes(printed[pipe]).decode("utf-8", "replace") for pipe in (out, err)]
    return Answer(code=code, out=texts[0], err=texts[1])


def _collect(pid: int, printed: dict[int, bytearray], until: float) -> int | None:
    """Read until the process ends; return its code, None where it was killed for its time."""
    poller = select.poll()
    reading = set(printed)
    for pipe in printed:
        poller.register(pipe, select.POLLIN)
    while True:
        _read_ready(poller, printed, reading, SLICE_MS if reading else CLOSED_MS)
        code = _end_of(pid, os.WNOHANG)
        if code is not None:
            while _read_ready(poller, printed, reading, 0):
                continue
            return code
        if time.monotonic() > until or sum(map(len, printed.values())) > LIMIT:
            os.killpg(pid, signal.SIGKILL)
            _end_of(pid, 0)
            return None


def _read_ready(
    poller: select.poll, printed: dict[int, bytearray], reading: set[int], wait_ms: int
) -> bool:
    """Read once from each pipe that has something; tell whether any had."""
    ready = poller.poll(wait_ms)
    for pipe, _ in ready:
        data = os.read(pipe, CHUNK)
        printed[pipe] += data
        if not data:
            poller.unregister(pipe)
            reading.discard(pipe)
    return bool(ready) and sum(map(len, printed.values())) <= LIMIT


def _end_of(pid: int, options: int) -> int | None:
    try:
        ended, status = os.waitpid(pid, options)
    except ChildProcessError:
        return 0  # whoever started us ignores SIGCHLD: then nobody learns how a child ended
    if not ended:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
