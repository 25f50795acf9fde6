"""A worker's end of a link: see `launcher.process.link`."""

from __future__ import annotations

import errno
import os
import select
import socket
import time

from launcher.process.events import Linked, Unlinked
from launcher.process.fleet import State
from launcher.process.greeting import LONGEST, REFUSAL, WELCOME, render_greeting
from launcher.process.link import ALIVE, GREETING_S, NEVER, prepare, reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from launcher.process.fleet import Member
    from launcher.process.link import News
    from launcher.process.spec import Link

RETRY_S = 1.0  # between two calls
SELDOM = 20  # times as long as a look-up of the leader's name took, before the next


class WorkerLink:
    """A worker's end: it calls the leader while the member waits, and holds on while it runs."""

    def __init__(self, name: str, link: Link) -> None:
        """Begin without a connection. `name` is the instance's."""
        self.link = link
        self._name = name
        self.due = 0.0
        self._pid = 0  # of the server that the link belongs to; 0: it has not been started yet
        self._socket: socket.socket | None = None
        self._greeted = False
        self._linked = False
        self._heard = b""
        self._told = ""
        self._calls = 0
        self._pause = RETRY_S

    def polled(self) -> Iterator[tuple[int, int]]:
        """Yield what to poll: descriptors and events."""
        if self._socket is not None:
            yield self._socket.fileno(), select.POLLIN if self._greeted else select.POLLOUT

    def tend(self, member: Member, ready: dict[int, int], now: float) -> News:
        """Follow the member's life, call, or notice that the leader has gone."""
        outdated = bool(self._pid) and member.pid != self._pid
        if outdated or member.state not in {State.WAITING, *ALIVE}:
            self.close()
        if member.state in ALIVE and self._linked:
            self._pid = member.pid
        if self._socket is None:
            if member.state is not State.WAITING:
                self.due = NEVER  # whoever changes the member's state wakes us
                return None
            self.due = now if self.due == NEVER else self.due
            return self._call(now) if now >= self.due else None
        if self._socket.fileno() in ready:
            step = self._hear if self._greeted else self._greet
            return step(self._socket, now)
        if now >= self.due:
            return self._lose("no answer", now)
        return None

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._pid, self._heard = None, 0, b""
        self._linked = self._greeted = False
        self.due = 0.0

    def _call(self, now: float) -> News:
        """Begin to connect."""
        try:
            found = self._find()
            # The next address each time: the leader may listen on one family only.
            self._calls += 1
            family, kind, protocol, _, address = found[self._calls % len(found)]
            self._socket = socket.socket(family, kind, protocol)
            prepare(self._socket)
            error = self._socket.connect_ex(address)
        except OSError as failure:  # the name is not known yet, or we have no descriptor left
            return self._lose(reason_of(failure), now)
        if error not in {0, errno.EINPROGRESS}:
            return self._lose(os.strerror(error).lower(), now)
        self.due = now + GREETING_S
        return None

    def _find(self) -> list[tuple[Any, ...]]:
        """Look the leader up, by the system's resolver, for which everything else here waits.

        So one that takes its time is asked the more seldom.
        """
        begun = time.monotonic()
        try:
            return socket.getaddrinfo(self.link.host, self.link.port, type=socket.SOCK_STREAM)
        except UnicodeError as error:  # no name that there can be
            raise OSError(errno.EINVAL, "this cannot be the name of a machine") from error
        finally:
            taken = time.monotonic() - begun
            self._pause = max(RETRY_S, SELDOM * taken) + taken

    def _greet(self, leader: socket.socket, now: float) -> News:
        error = leader.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            return self._lose(os.strerror(error).lower(), now)
        try:
            leader.send(render_greeting(self._name, self.link))
        except OSError as failure:
            return self._lose(reason_of(failure), now)
        self._greeted = True
        self.due = now + GREETING_S
        return None

    def _hear(self, leader: socket.socket, now: float) -> News:
        try:
            said = leader.recv(LONGEST)
        except BlockingIOError:
            return None
        except OSError as failure:
            return self._lose(reason_of(failure), now)
        if not said:
            return self._lose("it has hung up", now)
        return None if self._linked else self._read(said, now)  # no leader of ours says more

    def _read(self, said: bytes, now: float) -> News:
        self._heard += said
        line, end, _ = self._heard.partition(b"\n")
        text = line.decode("utf-8", "replace")
        if not end:
            return self._lose("no launcher answers there", now) if len(line) > LONGEST else None
        if text != WELCOME:
            known = text.startswith(REFUSAL)
            return self._lose(
                text.removeprefix(REFUSAL) if known else "no launcher answers there", now
            )
        self._linked, self.due, self._told = True, NEVER, ""
        return Linked(name=self._name)

    def _lose(self, reason: str, now: float) -> News:
        was_linked = self._linked
        self.close()
        self.due = now + self._pause
        where = self.link.address()
        if was_linked:
            return Unlinked(name=self._name, reason=f"lost its leader at {where} ({reason})")
        text = f"{self._name}: waiting for its leader at {where} ({reason})"
        if text == self._told:
            return None
        self._told = text
        return text
