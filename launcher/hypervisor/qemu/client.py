"""A conversation with QEMU's monitor, over a UNIX socket, with a deadline."""

from __future__ import annotations

import socket
import time

from launcher.hypervisor.backend import VmmSilentError
from launcher.hypervisor.qemu.qmp import (
    Decoder,
    is_reply,
    read_version,
    render_command,
    take_reply,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.qemu.qmp import Message

CHUNK = 65_536


class Monitor:
    """A connection that has greeted. Events that come between are skipped."""

    def __init__(self, path: str, deadline_s: float) -> None:
        """Connect; `deadline_s` is for the whole conversation, in seconds from now.

        Raises:
            VmmSilentError: nobody listens or answers. Another client may have the monitor.
        """
        self._until = time.monotonic() + deadline_s
        self._decoder = Decoder()
        self._waiting: list[Message] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(deadline_s)
            self._socket.connect(path)
            self.version = read_version(self._next())
            self.ask("qmp_capabilities")
        except OSError as error:
            self._socket.close()
            raise VmmSilentError(f"QEMU's monitor: {_reason(error)}") from None
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, command: str) -> object:
        """Send a command and return its answer.

        Raises:
            VmmSilentError: no answer in time, or QEMU has gone.
            VmmRefusalError: QEMU refuses.
        """
        try:
            self._socket.sendall(render_command(command))
            while not is_reply(message := self._next()):
                pass
        except OSError as error:
            raise VmmSilentError(f"QEMU's monitor: {_reason(error)}") from None
        return take_reply(message)

    def detach(self) -> socket.socket:
        """Give the socket away, without a timeout: for who wants to hear of events."""
        self._socket.setblocking(False)  # noqa: FBT003
        return self._socket

    def _next(self) -> Message:
        while not self._waiting:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            data = self._socket.recv(CHUNK)
            if not data:
                raise ConnectionResetError
            self._waiting = self._decoder.feed(data)
        return self._waiting.pop(0)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or "it hung up").lower()
