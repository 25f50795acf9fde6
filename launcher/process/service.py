"""The launcher as others see it: control socket, TCP address, systemd. Made after the first start.

It knows the supervisor by three callables only: the fleet as it is, something happened, and read
the configuration again.
"""

from __future__ import annotations

import os
import time

from launcher import __version__
from launcher.errors import StartError
from launcher.process.control import Control, LogReply, listen_tcp
from launcher.process.http import Response
from launcher.process.notify import Notifier
from launcher.process.rendezvous import meet
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Callable, Mapping

    from launcher.process.events import Event
    from launcher.process.fleet import Fleet
    from launcher.process.http import Request
    from launcher.process.rendezvous import Meeting
    from launcher.process.spec import Endpoints
    from launcher.process.status import About, Notes

NOT_NOW = '{"error": "the launcher lacks descriptors to answer"}\n'
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
        self._control = Control(self._serve)
        self._meeting: Meeting | None = None
        self._open_socket(environ)
        if endpoints.listen is not None:
            self._open_tcp(*endpoints.listen)
        address = environ.get("NOTIFY_SOCKET", "")
        self._notifier = Notifier(address) if address else None
        if self._notifier is not None:
            self._notifier.begin(supervised.fleet())
            self.tell()

    @property
    def due(self) -> float:
        """When to tend even if nothing happens."""
        return self._control.due

    def watch(self, poll: select.poll) -> None:
        """Register all that may become ready."""
        self._control.watch(poll)

    def tend(self, ready: dict[int, int]) -> None:
        """Serve whoever is ready."""
        self._control.tend(ready)

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
        self._control.close()
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
        self._control.listen(self._meeting.listener)
        if self._meeting.word:
            self._supervised.say(self._meeting.word)

    def _open_tcp(self, host: str, port: int) -> None:
        try:
            self._control.listen(listen_tcp(host, port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            self._supervised.say(f"cannot listen on {host} port {port}: {reason}")

    def _serve(self, request: Request, trusted: bool) -> Response | LogReply:
        # What answers is imported when somebody asks: an idle launcher stays small.
        try:
            from launcher.process import routes  # noqa: PLC0415
        except (ImportError, OSError):  # no descriptor is left, or our files are being replaced
            return Response(status=503, body=NOT_NOW)
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
        from launcher.process.routes import answer, refuse  # noqa: PLC0415  (as above)

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
