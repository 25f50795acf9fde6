"""An answer of the launcher that may go on for ever, like a log that is followed."""

from __future__ import annotations

import http.client
import socket


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a UNIX socket."""

    def __init__(self, path: str, timeout_s: float | None = None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def open_stream(path: str, page: str) -> http.client.HTTPResponse:
    """Ask for a page; return its answer, to be read as it comes.

    Raises:
        OSError: nobody listens, or what comes is no answer.
    """
    connection = UnixConnection(path)
    try:
        connection.request("GET", page)
        return connection.getresponse()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error) or type(error).__name__) from None
