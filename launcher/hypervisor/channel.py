"""UNIX sockets of the run directory that a VMM, or a guest through it, writes to."""

from __future__ import annotations

import contextlib
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from selectors import DefaultSelector
    from typing import TypeAlias

    Source: TypeAlias = socket.socket | FileIO

BACKLOG = 4
CHUNK = 65_536
MOST_CLIENTS = 4  # a guest may connect as often as it likes: the oldest has to go


class Channel:
    """Reads what arrives and hands it on; registered with a selector, whose data are callbacks."""

    def __init__(self, selector: DefaultSelector, take: Callable[[bytes], None]) -> None:
        self._selector = selector
        self._take = take
        self._clients: list[Source] = []
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

    def open_pipe(self, path: str) -> None:
        """Make a named pipe and read from it.

        It is opened for writing too: whoever comes first need not wait for the other.

        Raises:
            OSError: it cannot be.
        """
        os.mkfifo(path, 0o600)
        flags = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC
        self.add(open(os.open(path, flags), "rb", buffering=0))  # noqa: SIM115  (drop closes it)

    def add(self, client: Source) -> None:
        """Read from a connection or a pipe."""
        os.set_blocking(client.fileno(), False)
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

    def _read(self, client: Source) -> bool:
        """Hand on what has arrived; tell whether there was anything."""
        try:
            data = os.read(client.fileno(), CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self._drop(client)
        return bool(data)

    def _drop(self, client: Source) -> None:
        self._clients.remove(client)
        self._selector.unregister(client)
        client.close()
