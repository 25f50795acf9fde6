"""UNIX sockets of the run directory that a VMM, or a guest through it, writes to."""

from __future__ import annotations

import contextlib
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from selectors import DefaultSelector

BACKLOG = 4
CHUNK = 65_536
MOST_CLIENTS = 4  # a guest may connect as often as it likes: the oldest has to go


class Channel:
    """Reads what arrives and hands it on; registered with a selector, whose data are callbacks."""

    def __init__(self, selector: DefaultSelector, take: Callable[[bytes], None]) -> None:
        self._selector = selector
        self._take = take
        self._clients: list[socket.socket] = []
        self._listener: socket.socket | None = None

    def listen(self, path: str) -> None:
        """Listen on a path, which nobody else may have; only this user can connect.

        Raises:
            OSError: it cannot be.
        """
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        os.chmod(path, 0o600)
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)  # noqa: FBT003
        self._selector.register(self._listener, 1, self._accept)

    def add(self, client: socket.socket) -> None:
        """Read from a connection."""
        client.setblocking(False)  # noqa: FBT003
        if len(self._clients) == MOST_CLIENTS:
            self._drop(self._clients[0])
        self._clients.append(client)
        self._selector.register(client, 1, lambda: self._read(client))

    def drain(self) -> None:
        """Take what has arrived and was not read yet: the VMM has ended."""
        self._accept()
        for client in tuple(self._clients):
            while client in self._clients and self._read(client):
                pass

    def close(self) -> None:
        """Close everything."""
        for client in tuple(self._clients):
            self._drop(client)
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(OSError):  # it has hung up again
            client, _ = self._listener.accept()
            self.add(client)

    def _read(self, client: socket.socket) -> bool:
        """Hand on what has arrived; tell whether there was anything."""
        try:
            data = client.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self._drop(client)
        return bool(data)

    def _drop(self, client: socket.socket) -> None:
        self._clients.remove(client)
        self._selector.unregister(client)
        client.close()
