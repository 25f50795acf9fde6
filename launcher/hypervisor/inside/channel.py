"""The way to the host: a port of virtio-serial, else a connection over vsock, else none."""

from __future__ import annotations

import os
import socket

from launcher.hypervisor.model import REPORT_PORT_NAME, REPORT_VSOCK_PORT

PORTS = "/sys/class/virtio-ports"
VSOCK = "/dev/vsock"
CONNECT_S = 2.0


class Channel:
    """Sends lines and never waits: where the host does not read, the latest line replaces others.

    A line that is half written is completed first, so the host never sees two halves as one.
    """

    def __init__(self, descriptor: int = -1) -> None:
        self._descriptor = descriptor  # found when it is needed, unless it is given
        self._partial = b""
        self._next = b""

    def send(self, line: bytes) -> None:
        """Send a line as soon as the host takes it."""
        self._next = line
        self.pump()

    def pump(self) -> bool:
        """Write what can be written now; tell whether nothing is left."""
        if self._descriptor < 0:
            self._descriptor = _open()
        while self._descriptor >= 0 and (self._partial or self._next):
            if not self._partial:
                self._partial, self._next = self._next, b""
            try:
                written = os.write(self._descriptor, self._partial)
            except BlockingIOError:
                break
            except OSError:  # the host has closed its end: perhaps it opens another
                os.close(self._descriptor)
                self._descriptor = -1
                self._next, self._partial = self._next or self._partial, b""
                break
            self._partial = self._partial[written:]
        return not self._partial and not self._next


def find_port() -> str | None:
    """Return the device of the virtio-serial port with the name of reports."""
    try:
        names = sorted(os.listdir(PORTS))
    except FileNotFoundError:
        return None
    for name in names:
        with open(f"{PORTS}/{name}/name", encoding="utf-8") as file:
            if file.read().strip() == REPORT_PORT_NAME:
                return f"/dev/{name}"
    return None


def _open() -> int:
    port = find_port()
    try:
        if port:
            return os.open(port, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return _connect() if os.path.exists(VSOCK) else -1
    except OSError:
        return -1


def _connect() -> int:
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as connection:
        connection.settimeout(CONNECT_S)
        connection.connect((socket.VMADDR_CID_HOST, REPORT_VSOCK_PORT))
        connection.setblocking(False)  # noqa: FBT003
        return connection.detach()
