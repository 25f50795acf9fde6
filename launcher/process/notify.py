"""Tell systemd how we are, where NOTIFY_SOCKET asks for it (sd_notify(3), without its library)."""

from __future__ import annotations

import socket
import time

from launcher.process.fleet import State
from launcher.process.status import instances_of, is_wanted, not_ready, state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.fleet import Fleet

SPARE_S = 30.0  # beyond the deadlines of the fleet itself, before systemd may lose patience


class Notifier:
    """Sends a datagram whenever there is something new to say."""

    def __init__(self, address: str) -> None:
        """Take the value of NOTIFY_SOCKET: a path, or an abstract name after `@`."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003
        self._is_ready = False
        self._is_stopping = False
        self._status = ""

    def begin(self, fleet: Fleet) -> None:
        """Ask for as much time as the start of all instances may take."""
        patience_s = sum(member.spec.startup_timeout_s for member in instances_of(fleet))
        self._send(_extend(patience_s))

    def tell(self, fleet: Fleet) -> None:
        """Say what has changed."""
        lines = []
        if fleet.stopping and not self._is_stopping:
            self._is_stopping = True
            lines += ["STOPPING=1", _extend(fleet.grace_s())]
        if not self._is_ready and not fleet.stopping and not not_ready(fleet):
            self._is_ready = True
            lines.append("READY=1")
        status = summarize(fleet)
        if status != self._status:
            self._status = status
            lines.append(f"STATUS={status}")
        self._send(*lines)

    def reloading(self) -> None:
        """Say that new settings are being read; a service that is still starting has no word."""
        if self._is_ready:
            self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """Say that new settings were taken, or refused."""
        if self._is_ready:
            self._send("READY=1")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, *lines: str) -> None:
        if not lines:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return  # nobody listens, or systemd is too busy: our work goes on


def summarize(fleet: Fleet) -> str:
    """Return one line on all instances, like `1 of 2 ready; b: starting`."""
    members = instances_of(fleet)
    ready = sum(member.state is State.READY for member in members)
    parts = [f"{ready} of {len(members)} ready"]
    parts += [
        f"{member.spec.name}: {state_of(member)}"
        for member in members
        if member.state is not State.READY and (is_wanted(member) or member.state.is_running())
    ]
    return "; ".join(parts)


def _extend(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={int((seconds + SPARE_S) * 1e6)}"
