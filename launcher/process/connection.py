"""One client of the launcher, who may be slow, silent, or not a client at all. Never waits."""

from __future__ import annotations

import select
import socket

from launcher.process.http import Refusal, Request, parse_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.tail import Tail

ASK_S = 5.0  # how long a client may take for its request
TAKE_S = 10.0  # and how long until it takes a piece of the answer
LINGER_S = 1.0  # how long what else it sends is read and thrown away, so that it sees the answer
CHUNK = 65_536
NEVER = float("inf")


class Connection:
    """Poll `descriptor` for `events`; `receive` until there is a request, then `answer`."""

    def __init__(self, client: socket.socket, now: float, *, trusted: bool) -> None:
        client.setblocking(False)  # noqa: FBT003
        self.trusted = trusted
        self.stranger = False  # it came to our own socket, but is of another user
        self.due = now + ASK_S
        self.closed = False
        self.answered = False
        self._client = client
        self._asked = b""
        self._pending = b""
        self._tail: Tail | None = None
        self._follow = False
        self._rude = False  # it sent no request of ours, and may send more of it
        self._lingers = False
        self._hung_up = False  # it sends nothing more; it may still read

    @property
    def descriptor(self) -> int:
        """The socket's descriptor."""
        return self._client.fileno()

    @property
    def events(self) -> int:
        """What to poll for."""
        return (0 if self._hung_up else select.POLLIN) | (select.POLLOUT if self._pending else 0)

    def receive(self) -> Request | Refusal | None:
        """Read what has come; return the request once it is whole."""
        self._asked += self._read()
        found = parse_request(self._asked)
        self._rude = isinstance(found, Refusal)
        if found is None and self._hung_up:
            self.close()
        return found

    def answer(
        self, data: bytes, now: float, tail: Tail | None = None, *, follow: bool = False
    ) -> None:
        """Send an answer, then the rest of a log, then what is added to it if it is followed."""
        self.answered = True
        self._pending, self._tail, self._follow = data, tail, follow
        self.due = now + TAKE_S
        self.send(now)

    def send(self, now: float) -> None:
        """Send a piece of what there is; poll(2) says when the client takes more."""
        if self.closed or self._lingers:
            return
        self._fill()
        if self._pending:
            try:
                sent = self._client.send(self._pending)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            self._pending = self._pending[sent:]
            self.due = now + TAKE_S
        self._fill()
        if self._follow:
            self.due = NEVER  # the log itself is the buffer: a slow reader costs nothing
        elif not self._pending:
            self._finish(now)

    def notice(self) -> None:
        """Read what a client says after its request: nothing that matters, or that it left."""
        self._read()
        if self._hung_up and (self._follow or self._lingers):
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if not self.closed:
            self.closed = True
            self._client.close()
            if self._tail is not None:
                self._tail.close()

    def _fill(self) -> None:
        if not self._pending and self._tail is not None:
            self._pending = self._tail.read()

    def _finish(self, now: float) -> None:
        """Say that this was all.

        Closing with something unread could cost the client the end of the answer.
        """
        if not self._rude or self._hung_up:
            self.close()
            return
        try:
            self._client.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._lingers = True
        self.due = now + LINGER_S

    def _read(self) -> bytes:
        try:
            data = self._client.recv(CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            self.close()
            return b""
        self._hung_up = not data
        return data
