"""The leader's end of all its links: see `launcher.process.link`."""

from __future__ import annotations

import errno
import select
import socket

from launcher.process.events import Unlinked
from launcher.process.greeting import LONGEST, WELCOME, answer_greeting, parse_greeting
from launcher.process.link import ALIVE, GREETING_S, NEVER, prepare, reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.process.fleet import Member
    from launcher.process.link import News
    from launcher.process.spec import Link

STRANGERS = 16  # callers that have not said yet who they are


class LeaderLink:
    """The leader's end: it takes calls while the member runs."""

    def __init__(self, name: str, link: Link) -> None:
        """Begin without a listener. `name` is the instance's."""
        self.link = link
        self._name = name
        self.due = NEVER
        self._pid = 0
        self._listener: socket.socket | None = None
        self._workers: dict[int, socket.socket] = {}  # by rank
        self._strangers: dict[socket.socket, tuple[bytes, float]] = {}  # said so far, until when

    def polled(self) -> Iterator[tuple[int, int]]:
        """Yield what to poll: descriptors and events."""
        if self._listener is not None:
            for each in (self._listener, *self._workers.values(), *self._strangers):
                yield each.fileno(), select.POLLIN

    def tend(self, member: Member, ready: dict[int, int], now: float) -> News:
        """Follow the member's life, take calls, or notice that a worker has gone."""
        if member.state not in ALIVE or not member.pid or member.pid != (self._pid or member.pid):
            self.close()
            return None
        if self._listener is None:
            return self._listen(member.pid)
        for rank, worker in self._workers.items():
            if worker.fileno() in ready and _has_gone(worker):
                return self._lose(f"lost the machine of rank {rank}")
        lost = [self._hear(each, now) for each in list(self._strangers) if each.fileno() in ready]
        for stranger, (_, until) in list(self._strangers.items()):
            if now >= until:
                self._dismiss(stranger)
        if self._listener.fileno() in ready:
            self._accept(self._listener, now)
        self.due = min((until for _, until in self._strangers.values()), default=NEVER)
        reason = next(filter(None, lost), "")
        return self._lose(reason) if reason else None

    def close(self) -> None:
        """Hang up on everybody."""
        if self._listener is not None:
            for each in (self._listener, *self._workers.values(), *self._strangers):
                each.close()
        self._listener, self._pid, self.due = None, 0, NEVER
        self._workers, self._strangers = {}, {}

    def _listen(self, pid: int) -> News:
        try:
            self._listener = _listen(self.link.host, self.link.port)
        except OSError as failure:
            where = self.link.address()
            reason = f"the link cannot listen on {where}: {reason_of(failure)}"
            return Unlinked(name=self._name, reason=reason)
        self._pid = pid
        return None

    def _accept(self, listener: socket.socket, now: float) -> None:
        try:
            caller, _ = listener.accept()
        except OSError:  # it has hung up already, or we have no descriptor left
            return
        if len(self._strangers) >= STRANGERS:
            caller.close()
            return
        prepare(caller)
        self._strangers[caller] = (b"", now + GREETING_S)

    def _hear(self, caller: socket.socket, now: float) -> str:
        """Let a caller say who it is; return why the group is broken, if this tells."""
        heard, until = self._strangers[caller]
        try:
            said = caller.recv(LONGEST)
        except OSError:
            said = b""
        heard += said
        if said and b"\n" not in heard and len(heard) < LONGEST and now < until:
            self._strangers[caller] = (heard, until)
            return ""
        greeting = parse_greeting(heard) if said else None
        taken = greeting is not None and greeting.rank in self._workers
        answer = answer_greeting(greeting, self._name, self.link, taken=taken)
        try:
            caller.send(f"{answer}\n".encode())
        except OSError:
            self._dismiss(caller)
            return ""
        if greeting is None or answer != WELCOME:
            self._dismiss(caller)
            # A rank that calls anew has lost its server: its machine died without a word.
            known = greeting is not None and taken and greeting.name == self._name
            return f"the machine of rank {greeting.rank} calls anew" if greeting and known else ""
        del self._strangers[caller]
        self._workers[greeting.rank] = caller
        return ""

    def _dismiss(self, caller: socket.socket) -> None:
        del self._strangers[caller]
        caller.close()

    def _lose(self, reason: str) -> News:
        self.close()
        return Unlinked(name=self._name, reason=reason)


def _has_gone(worker: socket.socket) -> bool:
    """Tell whether a link has ended. Workers say nothing more: whatever comes is thrown away."""
    try:
        return not worker.recv(LONGEST)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _listen(host: str, port: int) -> socket.socket:
    """Listen on the leader's own address; on every one where it is known by a name only.

    A machine's own name is often its loopback in /etc/hosts, where nobody else would reach us.

    Raises:
        OSError: the port is taken.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue  # a name, or an address of the other family
        try:
            return _bound(family, host, port)
        except OSError as failure:
            if failure.errno != errno.EADDRNOTAVAIL:  # it is behind a translation of addresses
                raise
    try:
        return _bound(socket.AF_INET6, "::", port)
    except OSError as failure:
        if failure.errno == errno.EADDRINUSE:
            raise
    return _bound(socket.AF_INET, "", port)  # a machine without IPv6


def _bound(family: int, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        listener.bind((host, port))
        listener.listen()
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener
