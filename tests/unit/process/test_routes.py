"""What is answered to whom."""

from __future__ import annotations

import json
from typing import Any

import pytest

from launcher.process.events import Begun, Ended, Healthy, RestartOne, Spawned, StopAsked, StopOne
from launcher.process.http import Request, Response
from launcher.process.routes import Deed, LogAsked, ReloadAsked, Scene, route
from launcher.process.spec import Exited, LogSpec
from launcher.process.status import About
from tests.support.history import History, server

ABOUT = About(version="1", pid=1, started_at=0.0)
LOG = LogSpec(path="/logs/a", max_bytes=0, keep=3)


def ready() -> History:
    """Return a fleet of one server that is ready."""
    history = History(server("a", log=LOG))
    history.happen(Begun(), Spawned(name="a", pid=42), Healthy(name="a"))
    return history


def ask(
    history: History, method: str, target: str, *, trusted: bool = True
) -> Response | Deed | ReloadAsked | LogAsked:
    """Return the reply to a request."""
    path, _, query = target.partition("?")
    pairs = tuple((name, value) for name, _, value in (w.partition("=") for w in query.split("&")))
    scene = Scene(fleet=history.fleet, about=ABOUT, now=history.now, notes={})
    return route(Request(method=method, path=path, query=pairs), scene, trusted=trusted)


def refused(reply: object) -> tuple[int, Any]:
    """Return status and JSON of a response."""
    assert isinstance(reply, Response)
    return reply.status, json.loads(reply.body)


def said(reply: object) -> str:
    """Return what is said to a command that is taken."""
    assert isinstance(reply, Deed)
    message: str = json.loads(reply.response.body)["message"]
    return message


@pytest.mark.parametrize("target", ["/status", "/logs/a", "/stop/a", "/reload", "/nonsense", "/"])
def test_untrusted_client_finds_no_such_page(target: str) -> None:
    for method in ("GET", "POST"):
        status, body = refused(ask(ready(), method, target, trusted=False))
        assert (status, body) == (404, {"error": f"there is no page '{target}'"})


@pytest.mark.parametrize("target", ["/healthz", "/readyz", "/metrics", "/targets"])
def test_untrusted_client_gets_open_pages(target: str) -> None:
    reply = ask(ready(), "GET", target, trusted=False)
    assert isinstance(reply, Response)
    assert reply.status == 200


@pytest.mark.parametrize(
    ("method", "target", "allow"), [("GET", "/stop/a", "POST"), ("POST", "/status", "GET")]
)
def test_wrong_method_is_refused(method: str, target: str, allow: str) -> None:
    reply = ask(ready(), method, target)
    assert isinstance(reply, Response)
    assert (reply.status, reply.allow) == (405, allow)


def pair() -> History:
    """Return a server and what keeps something for it, both ready."""
    history = History(server("k", outlives="a", probe=None), server("a", after=("k",)))
    history.happen(Begun(), Spawned(name="k", pid=41), Spawned(name="a", pid=42))
    history.happen(Healthy(name="a"))
    return history


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_keeper_of_a_server_that_runs_on_is_left_alone(verb: str) -> None:
    status, body = refused(ask(pair(), "POST", f"/{verb}/k"))
    assert (status, body) == (409, {"error": "'a' runs on what 'k' keeps: stop 'a' first"})


def test_keeper_of_a_server_that_stops_is_told_to_follow() -> None:
    history = pair()
    message = "'a' stops; it stays so until it is started; 'k' stays, for its next start"
    assert said(ask(history, "POST", "/stop/a")) == message
    history.happen(StopOne(name="a"))
    message = "'k' stops; it stays so until it is started; that is when 'a' has ended"
    assert said(ask(history, "POST", "/stop/k")) == message
    assert said(ask(history, "POST", "/start/k")) == "'k' runs already (ready)"


def test_stop_is_an_event_and_says_what_happens() -> None:
    reply = ask(ready(), "POST", "/stop/a")
    assert isinstance(reply, Deed)
    assert reply.event == StopOne(name="a")
    message = "'a' stops; it stays so until it is started"
    assert json.loads(reply.response.body) == {"name": "a", "message": message}


@pytest.mark.parametrize(
    ("verb", "before", "message"),
    [
        ("start", (), "'a' runs already (ready)"),
        ("restart", (), "'a' stops and starts again"),
        ("start", (StopOne(name="a"),), "'a' starts when it has stopped"),
        ("stop", (StopOne(name="a"),), "'a' is stopping already"),
        ("start", (RestartOne(name="a"),), "'a' is being restarted already"),
        ("start", (Ended(name="a", status=Exited(code=1)),), "'a' starts"),
        (
            "restart",
            (Ended(name="a", status=Exited(code=1)),),
            "'a' did not run (failed): it starts",
        ),
    ],
)
def test_answer_tells_what_a_command_does_now(verb: str, before: Any, message: str) -> None:
    history = ready()
    history.happen(*before)
    reply = ask(history, "POST", f"/{verb}/a")
    assert isinstance(reply, Deed)
    assert json.loads(reply.response.body)["message"] == message


def test_unknown_instance_is_refused_with_the_known_ones() -> None:
    status, body = refused(ask(ready(), "POST", "/stop/b"))
    assert (status, body) == (404, {"error": "there is no instance 'b'", "known": ["a"]})


@pytest.mark.parametrize("target", ["/stop/a", "/reload"])
def test_nothing_is_taken_during_the_end(target: str) -> None:
    history = ready()
    history.happen(StopAsked())
    assert refused(ask(history, "POST", target)) == (409, {"error": "the launcher is stopping"})


def test_log_is_asked_for_with_its_lines() -> None:
    assert ask(ready(), "GET", "/logs/a?lines=5&follow") == LogAsked(log=LOG, lines=5, follow=True)
    assert ask(ready(), "GET", "/logs/a") == LogAsked(log=LOG, lines=100, follow=False)


def test_lines_that_are_no_number_are_refused() -> None:
    status, body = refused(ask(ready(), "GET", "/logs/a?lines=-1"))
    assert (status, body) == (400, {"error": "'lines' is no number: '-1'"})


def test_readyz_lists_who_is_not_ready() -> None:
    history = History(server("a"), server("b"))
    history.happen(Begun(), Spawned(name="a", pid=1), Healthy(name="a"))
    reply = ask(history, "GET", "/readyz", trusted=False)
    assert isinstance(reply, Response)
    assert (reply.status, reply.body) == (503, "b: starting\n")


def test_reload_is_asked_for() -> None:
    assert isinstance(ask(ready(), "POST", "/reload"), ReloadAsked)
