"""Those who ask the launcher something, served in the supervisor's loop without ever waiting."""

from __future__ import annotations

import os
import select
import socket
import struct
import time

from launcher.process.connection import NEVER, Connection
from launcher.process.http import JSON, Refusal, Response, render_head, render_response
from launcher.process.tail import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from launcher.process.http import Request
    from launcher.process.spec import LogSpec

    # What serves a request: it gets who is asking (True: may do all), and returns what to answer.
    Serve: TypeAlias = Callable[[Request, bool], "Response | LogReply"]

MOST_CLIENTS = 64  # on each listener at once; more have to wait in its backlog
DEAF_S = 1.0  # how long nobody is heard where descriptors have run out
CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (SO_PEERCRED, unix(7))
LOG_TYPE = "application/octet-stream"


class LogReply:
    """The last lines of a log, and with `follow` all that comes after them."""

    def __init__(self, spec: LogSpec, lines: int, *, follow: bool) -> None:
        self.spec = spec
        self.lines = lines
        self.follow = follow


class Control:
    """Listeners and their clients. `watch` before poll(2), `tend` after it, at `due` at the latest.

    Who comes by the UNIX socket and is of our user, or root, is trusted; nobody else is.
    """

    def __init__(self, serve: Serve, listeners: Iterable[socket.socket]) -> None:
        self._serve = serve
        self._deaf_until = 0.0
        self._clients: dict[socket.socket, list[Connection]] = {each: [] for each in listeners}

    @property
    def due(self) -> float:
        """When to tend even if nothing happens."""
        hears_again = self._deaf_until if self._deaf_until > time.monotonic() else NEVER
        return min((hears_again, *(each.due for each in self._connections())))

    def watch(self, poll: select.poll) -> None:
        """Register all that may become ready."""
        hears = self._deaf_until <= time.monotonic()
        for listener, clients in self._clients.items():
            if hears and len(clients) < MOST_CLIENTS:
                poll.register(listener.fileno(), select.POLLIN)
        for each in self._connections():
            poll.register(each.descriptor, each.events)

    def tend(self, ready: dict[int, int]) -> None:
        """Serve whoever is ready, send what logs have got, and part with who takes too long."""
        now = time.monotonic()
        for each in self._connections():
            if each.due <= now:
                each.close()
            elif each.answered:
                if ready.get(each.descriptor, 0) & ~select.POLLOUT:
                    each.notice()
                each.send(now)
            elif each.descriptor in ready:
                self._receive(each, now)
        for listener, clients in self._clients.items():
            clients[:] = [each for each in clients if not each.closed]
            if listener.fileno() in ready:
                self._accept(listener, clients, now)

    def close(self) -> None:
        """Part with all clients. Sends what they take at once."""
        now = time.monotonic()
        for each in self._connections():
            each.send(now)
            each.close()
        self._clients.clear()

    def _connections(self) -> list[Connection]:
        return [each for clients in self._clients.values() for each in clients if not each.closed]

    def _accept(self, listener: socket.socket, clients: list[Connection], now: float) -> None:
        while len(clients) < MOST_CLIENTS:
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                return  # that was all
            except OSError:
                self._deaf_until = now + DEAF_S  # no descriptor is left
                return
            local = listener.family == socket.AF_UNIX
            clients.append(Connection(client, now, trusted=local and _is_ours(client)))
            clients[-1].stranger = local and not clients[-1].trusted

    def _receive(self, client: Connection, now: float) -> None:
        request = client.receive()
        if request is None or client.closed:
            return
        if isinstance(request, Refusal):
            client.answer(_render_refusal(request), now)
        elif client.stranger:
            client.answer(_render_refusal(Refusal(status=403, reason="not your launcher")), now)
        else:
            self._answer(client, request, now)

    def _answer(self, client: Connection, request: Request, now: float) -> None:
        reply = self._serve(request, client.trusted)
        head_only = request.method == "HEAD"
        if isinstance(reply, Response):
            client.answer(render_response(reply, head_only=head_only), now)
            return
        try:
            tail = Tail(reply.spec, reply.lines)
        except OSError as error:
            reason = f"the log cannot be read: {(error.strerror or str(error)).lower()}"
            client.answer(_render_refusal(Refusal(status=404, reason=reason)), now)
            return
        client.answer(render_head(200, LOG_TYPE), now, tail, follow=reply.follow)


def _is_ours(client: socket.socket) -> bool:
    """Tell whether a client on the UNIX socket runs as our user, or as root."""
    found = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    uid: int = CREDENTIALS.unpack(found)[1]
    return uid in {0, os.geteuid()}


def _render_refusal(refusal: Refusal) -> bytes:
    escaped = refusal.reason.replace("\\", "\\\\").replace('"', '\\"')
    body = f'{{"error": "{escaped}"}}\n'
    return render_response(Response(status=refusal.status, body=body, content_type=JSON))
