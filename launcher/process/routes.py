"""What a request means, and what is answered: pages, commands, logs. Pure.

The control socket offers everything; a TCP address (`[master] listen`) the pages in `OPEN` only.
"""

from __future__ import annotations

import json

from launcher.process.events import RestartOne, StartOne, StopOne
from launcher.process.fleet import State
from launcher.process.gates import is_used, keepers_of
from launcher.process.http import TEXT, Response
from launcher.process.metrics import CONTENT_TYPE, describe_targets, render_metrics
from launcher.process.status import (
    describe_fleet,
    instances_of,
    is_wanted,
    not_ready,
    state_of,
)
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from launcher.process.events import Command
    from launcher.process.fleet import Fleet, Member
    from launcher.process.http import Request
    from launcher.process.spec import LogSpec
    from launcher.process.status import About, Notes

OPEN = ("/healthz", "/readyz", "/metrics", "/targets")
COMMANDS: dict[str, type[StartOne | StopOne | RestartOne]] = {
    "start": StartOne,
    "stop": StopOne,
    "restart": RestartOne,
}
LINES = 100  # of a log, unless the request says otherwise
MOST_LINES = 100_000


@record
class Scene:
    """All that an answer depends on. `now` is a time of the monotonic clock."""

    fleet: Fleet
    about: About
    now: float
    notes: Notes


@record
class Deed:
    """A command to carry out, and then the answer."""

    event: Command
    response: Response


@record
class ReloadAsked:
    """The configuration is to be read again."""


@record
class LogAsked:
    """The last lines of a log, and perhaps what comes after them."""

    log: LogSpec
    lines: int
    follow: bool


if TYPE_CHECKING:
    Reply: TypeAlias = Response | Deed | ReloadAsked | LogAsked


def route(request: Request, scene: Scene, *, trusted: bool) -> Reply:
    """Decide what a request is answered; only who is `trusted` may see and do all."""
    head, _, name = request.path[1:].partition("/")
    if request.path in OPEN or (trusted and (head == "logs" or request.path == "/status")):
        wanted = "GET"
    elif trusted and (head in COMMANDS or request.path == "/reload"):
        wanted = "POST"
    else:
        return refuse(404, f"there is no page '{_shorten(request.path)}'")
    if request.method != wanted and (request.method, wanted) != ("HEAD", "GET"):
        refused = refuse(405, f"'{_shorten(request.path)}' takes {wanted}")
        return Response(status=405, body=refused.body, allow=wanted)
    if request.path == "/reload":
        return _reload(scene)
    if head in COMMANDS:
        return _command(head, name, scene)
    if head == "logs":
        return _log(name, request, scene)
    return _page(request, scene)


def answer(status: int, **values: object) -> Response:
    """Return a JSON object as a response."""
    return Response(status=status, body=json.dumps(values, ensure_ascii=False) + "\n")


def refuse(status: int, error: str, **values: object) -> Response:
    """Return a refusal that says why."""
    return answer(status, error=error, **values)


def _page(request: Request, scene: Scene) -> Response:
    fleet = scene.fleet
    if request.path == "/healthz":
        return Response(status=200, body="alive\n", content_type=TEXT)
    if request.path == "/readyz":
        return _readyz(fleet)
    if request.path == "/metrics":
        text = render_metrics(fleet, scene.about, scene.now)
        return Response(status=200, body=text, content_type=CONTENT_TYPE)
    if request.path == "/targets":
        targets = describe_targets(fleet, request.host)
        return Response(status=200, body=json.dumps(targets) + "\n")
    return answer(200, **describe_fleet(fleet, scene.about, scene.now, scene.notes))


def _readyz(fleet: Fleet) -> Response:
    waiting = not_ready(fleet)
    if fleet.stopping:
        return Response(status=503, body="stopping\n", content_type=TEXT)
    lines = "".join(f"{member.spec.name}: {state_of(member)}\n" for member in waiting)
    return Response(status=503 if waiting else 200, body=lines or "ready\n", content_type=TEXT)


def _reload(scene: Scene) -> Reply:
    if scene.fleet.stopping:
        return refuse(409, "the launcher is stopping")
    return ReloadAsked()


def _command(verb: str, name: str, scene: Scene) -> Reply:
    fleet = scene.fleet
    member = _find(fleet, name)
    if member is None:
        return _unknown(name, fleet)
    if fleet.stopping:
        return refuse(409, "the launcher is stopping")
    if member.retiring:
        return refuse(409, f"'{name}' is being removed: the configuration does not have it")
    user = member.spec.outlives
    if verb != "start" and is_used(member, fleet) and is_wanted(fleet.member(user)):
        return refuse(409, f"'{user}' runs on what '{name}' keeps: stop '{user}' first")
    message = _foresee(verb, member) + _foresee_pair(verb, member, fleet)
    event = COMMANDS[verb](name=name)
    return Deed(event=event, response=answer(200, name=name, message=message))


def _foresee(verb: str, member: Member) -> str:  # noqa: PLR0911  (one per outcome)
    """Say what a command will do to a member in its state."""
    name, state = f"'{member.spec.name}'", state_of(member)
    if verb == "stop":
        if member.state is State.ENDED:
            return f"{name} has stopped already; it stays so until it is started"
        if state == "stopping" and member.held:
            return f"{name} is stopping already"
        return f"{name} stops; it stays so until it is started"
    if verb == "start":
        if state in {"ready", "starting"}:
            return f"{name} runs already ({state})"
        if state == "waiting":
            return f"{name} is to start already: it waits for its turn"
        if state == "stopping" and member.again:
            return f"{name} is being restarted already"
        return f"{name} starts" + (" when it has stopped" if state == "stopping" else "")
    if state in {"stopped", "failed", "waiting", "backoff"}:
        return f"{name} did not run ({state}): it starts"
    return f"{name} stops and starts again"


def _foresee_pair(verb: str, member: Member, fleet: Fleet) -> str:
    """Say what a command means where one process keeps what another uses."""
    if verb != "start" and is_used(member, fleet):
        return f"; that is when '{member.spec.outlives}' has ended"
    kept = [each.spec.name for each in keepers_of(member, fleet) if each.state.is_running()]
    return f"; '{kept[0]}' stays, for its next start" if verb == "stop" and kept else ""


def _log(name: str, request: Request, scene: Scene) -> Reply:
    member = scene.fleet.find(name)
    if member is None:
        return _unknown(name, scene.fleet)
    if member.spec.log is None:
        return refuse(404, f"'{name}' has no log: it writes to our own output")
    lines = request.option("lines") or str(LINES)
    if not (lines.isascii() and lines.isdigit() and len(lines) < 10):  # noqa: PLR2004
        return refuse(400, f"'lines' is no number: '{_shorten(lines)}'")
    follow = request.option("follow") not in {None, "0", "false"}
    return LogAsked(log=member.spec.log, lines=min(int(lines), MOST_LINES), follow=follow)


def _find(fleet: Fleet, name: str) -> Member | None:
    return next((each for each in instances_of(fleet) if each.spec.name == name), None)


def _unknown(name: str, fleet: Fleet) -> Response:
    known = [member.spec.name for member in instances_of(fleet)]
    return refuse(404, f"there is no instance '{_shorten(name)}'", known=known)


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004
