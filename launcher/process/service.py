"""The launcher as others see it: control socket, TCP address, systemd. Made after the first start.

It knows the supervisor by three callables only: the fleet as it is, something happened, and read
the configuration again.
"""

from __future__ import annotations

import os
import select
import time

from launcher import __version__
from launcher.errors import StartError
from launcher.process.rendezvous import listen_tcp, meet
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from launcher.process.control import Control, LogReply
    from launcher.process.events import Event
    from launcher.process.fleet import Fleet
    from launcher.process.http import Request, Response
    from launcher.process.notify import Notifier
    from launcher.process.rendezvous import Meeting
    from launcher.process.spec import Endpoints
    from launcher.process.status import About, Notes

NEVER = float("inf")
RESUME_S = 1.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@record
class Supervised:
    """What the service may ask of the supervisor.

    `reload` returns whether the new settings were taken, what changes, and the problems as text.
    """

    fleet: Callable[[], Fleet]
    notes: Callable[[], Notes]
    happened: Callable[[Event], None]
    reload: Callable[[], tuple[bool, dict[str, object], str]] | None
    say: Callable[[str], None]


class Service:
    """Serves whoever asks, and tells systemd."""

    def __init__(
        self, supervised: Supervised, endpoints: Endpoints, environ: Mapping[str, str]
    ) -> None:
        """Open what can be opened, and say what cannot."""
        self._supervised = supervised
        self._endpoints = endpoints
        self._started_at = time.monotonic()
        self._listeners: list[socket.socket] = []
        self._control: Control | None = None
        self._resume_at = 0.0  # until then nobody is heard: what serves could not be imported
        self._meeting: Meeting | None = None
        self._open_socket(environ)
        if endpoints.listen is not None:
            self._open_tcp(*endpoints.listen)
        self._notifier: Notifier | None = None
        self._open_notifier(environ.get("NOTIFY_SOCKET", ""))

    @property
    def due(self) -> float:
        """When to tend even if nothing happens."""
        if self._control is not None:
            return self._control.due
        return self._resume_at if self._resume_at > time.monotonic() else NEVER

    def watch(self, poll: select.poll) -> None:
        """Register all that may become ready."""
        if self._control is not None:
            self._control.watch(poll)
        elif self._resume_at <= time.monotonic():
            for listener in self._listeners:
                poll.register(listener.fileno(), select.POLLIN)

    def tend(self, ready: dict[int, int]) -> None:
        """Serve whoever is ready."""
        if self._control is None and any(each.fileno() in ready for each in self._listeners):
            self._control = self._make_control()
        if self._control is not None:
            self._control.tend(ready)

    def _make_control(self) -> Control | None:
        """Import what serves when somebody comes: an idle launcher stays small."""
        try:
            from launcher.process import routes, status  # noqa: F401, PLC0415  (used in `_serve`)
            from launcher.process.control import Control  # noqa: PLC0415
        except (ImportError, OSError):  # no descriptor is left, or our files are being replaced
            self._resume_at = time.monotonic() + RESUME_S
            return None
        return Control(self._serve, self._listeners)

    def tell(self) -> None:
        """Tell systemd what has changed."""
        if self._notifier is not None:
            self._notifier.tell(self._supervised.fleet())

    def reloading(self, *, done: bool) -> None:
        """Tell systemd that new settings are being read, or have been."""
        if self._notifier is not None:
            (self._notifier.reloaded if done else self._notifier.reloading)()

    def close(self) -> None:
        """Close and remove everything."""
        if self._control is not None:
            self._control.close()
        for listener in self._listeners:
            listener.close()
        if self._meeting is not None:
            self._meeting.close()
        if self._notifier is not None:
            self._notifier.close()

    def _open_socket(self, environ: Mapping[str, str]) -> None:
        try:
            self._meeting = meet(self._endpoints.control_socket, environ)
        except StartError as error:
            self._supervised.say(f"no control socket, so no 'vllmd status': {error.message}")
            return
        self._listeners.append(self._meeting.listener)
        if self._meeting.word:
            self._supervised.say(self._meeting.word)

    def _open_tcp(self, host: str, port: int) -> None:
        try:
            self._listeners.append(listen_tcp(host, port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            self._supervised.say(f"cannot listen on {host} port {port}: {reason}")

    def _open_notifier(self, address: str) -> None:
        if not address:
            return
        from launcher.process.notify import Notifier  # noqa: PLC0415  (few are run by systemd)

        self._notifier = Notifier(address)
        self._notifier.begin(self._supervised.fleet())
        self.tell()

    def _serve(self, request: Request, trusted: bool) -> Response | LogReply:
        from launcher.process import routes  # noqa: PLC0415  (as in `tend`)
        from launcher.process.control import LogReply  # noqa: PLC0415

        supervised = self._supervised
        scene = routes.Scene(
            fleet=supervised.fleet(),
            about=self._about(),
            now=time.monotonic(),
            notes=supervised.notes(),
        )
        reply = routes.route(request, scene, trusted=trusted)
        if isinstance(reply, routes.Deed):
            supervised.say(f"asked to {request.path[1:].replace('/', ' ')}")
            supervised.happened(reply.event)
            return reply.response
        if isinstance(reply, routes.ReloadAsked):
            return self._reload()
        if isinstance(reply, routes.LogAsked):
            return LogReply(reply.log, reply.lines, follow=reply.follow)
        return reply

    def _reload(self) -> Response:
        from launcher.process.routes import answer, refuse  # noqa: PLC0415

        if self._supervised.reload is None:
            return refuse(409, "this launcher cannot read its configuration again")
        taken, changes, text = self._supervised.reload()
        if taken:
            return answer(200, problems=text, **changes)
        message = "the configuration cannot be used: everything stays as it is"
        return refuse(422, message, problems=text)

    def _about(self) -> About:
        from launcher.process.status import About  # noqa: PLC0415

        return About(
            version=__version__,
            pid=os.getpid(),
            started_at=self._started_at,
            config=self._endpoints.config,
            socket=self._meeting.path if self._meeting else "",
            memory_bytes=_resident_bytes(),
        )


def _resident_bytes() -> int:
    """Return our resident memory (proc(5), `statm`: the second number, in pages)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * PAGE_BYTES
    except OSError:
        return 0
