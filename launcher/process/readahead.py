"""The reader that fetches weights into the page cache while servers import: one for a launch.

The program is `launcher/warm/prefetch.py`, which says what is spoken. Nobody waits for it, nothing
depends on it, and it ends when its work is done or of no use any more.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys

from launcher.errors import StartError
from launcher.process import child
from launcher.process.fleet import State
from launcher.process.spec import Exited, ProcessSpec, describe_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Callable, Mapping
    from importlib.abc import FileLoader

    from launcher.process.fleet import Fleet
    from launcher.process.spec import ExitStatus, Prefetch

    __loader__: FileLoader

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(__file__)), "warm", "prefetch.py")
BOOTSTRAP = "import os; exec(os.read(0, 1 << 18))"
LARGEST = 1 << 18  # bytes of a message
NAME = "prefetch"
POLLIN = 1  # of poll(2)
OVER = (State.READY, State.ENDED)  # nobody needs its weights to be read any more


class ReadAhead:
    """The reader, as long as there is one. Poll `descriptor`, and call `tend` then."""

    def __init__(
        self, orders: tuple[Prefetch, ...], environ: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        """Start it; where that fails, servers read for themselves, which `say` is told."""
        self._pid = 0  # 0: there is none
        self._wanted = True
        self._say = say
        self._left = {order.name for order in orders}
        self._settled: Fleet | None = None
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._socket.settimeout(0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
            try:
                self._socket.send(__loader__.get_data(PROGRAM))
                self._send_orders(orders)
                self._pid = _start(environ, theirs.fileno())
            except (OSError, StartError) as error:
                self._socket.close()
                reason = getattr(error, "strerror", None) or str(error)
                say(f"{NAME}: no weights are read ahead: {reason.lower()}")

    def watch(self, poll: select.poll) -> None:
        """Register the reader's socket."""
        if self._socket.fileno() >= 0:
            poll.register(self._socket.fileno(), POLLIN)

    def tend(self, ready: Mapping[int, int]) -> None:
        """Pass on what the reader says."""
        if self._socket.fileno() in ready:
            self._listen()

    def settle(self, fleet: Fleet) -> None:
        """Tell the reader of each server that is healthy, and end it when it is of no use."""
        if fleet is self._settled or self._socket.fileno() < 0:
            return
        self._settled = fleet
        done = {member.spec.name for member in fleet.members if member.state in OVER}
        for name in sorted(self._left & done):
            with contextlib.suppress(OSError):  # it has ended, or does not listen
                self._socket.send(json.dumps({"over": name}).encode())
        self._left -= done
        if fleet.stopping or not self._left:
            self.close()

    def note_end(self, pid: int, status: ExitStatus) -> bool:
        """Note the end of a child; tell whether it was the reader."""
        if pid != self._pid:
            return False
        self._pid = 0
        if self._socket.fileno() >= 0:
            self._listen()
            self._socket.close()
        if self._wanted and status != Exited(code=0):
            self._say(f"{NAME}: ended ({describe_status(status)}): servers read for themselves")
        return True

    def close(self) -> None:
        """End the reader."""
        self._wanted = False
        if self._socket.fileno() >= 0:
            self._listen()
            self._socket.close()
        if self._pid:
            child.send(self._pid, signal.SIGKILL)

    def _send_orders(self, orders: tuple[Prefetch, ...]) -> None:
        """Send what is to be read, before the reader is started; what does not fit is left out."""
        with contextlib.suppress(BlockingIOError):
            for order in orders:
                self._socket.send(json.dumps({"order": order.as_order()}).encode())

    def _listen(self) -> None:
        while self._socket.fileno() >= 0:
            try:
                data = self._socket.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._socket.close()
                return
            said = json.loads(data)
            self._say(f"{said['name']}: {said['text']}")


def _start(environ: Mapping[str, str], source: int) -> int:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        spec = ProcessSpec(name=NAME, argv=(sys.executable, "-I", "-S", "-c", BOOTSTRAP))
        return child.start(spec, environ, nowhere, source)
    finally:
        os.close(nowhere)
