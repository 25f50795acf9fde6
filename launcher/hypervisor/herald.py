"""Tell systemd how a guest is, where NOTIFY_SOCKET asks for it (sd_notify(3))."""

from __future__ import annotations

import contextlib
import socket

SEND_S = 1.0  # seconds, where systemd has too many datagrams waiting: READY=1 must not get lost


class Herald:
    """Sends datagrams; without an address it sends nothing."""

    def __init__(self, address: str) -> None:
        """Take the value of NOTIFY_SOCKET: a path, or an abstract name after `@`."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status = ""
        self._is_ready = False

    def ready(self) -> None:
        """Say, once, that the guest is ready."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1")

    def status(self, text: str) -> None:
        """Say in a line how the guest is."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def extend(self, seconds: float) -> None:
        """Ask for so many seconds from now until the next word."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def stopping(self, seconds: float) -> None:
        """Say that the guest is being stopped, and how long that may take."""
        self._send("STOPPING=1")
        self.extend(seconds)

    def _send(self, line: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),  # nobody listens: our work goes on
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.settimeout(SEND_S)
            sender.sendto(line.encode(), self._address)
