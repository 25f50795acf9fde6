"""Whatever a client sends, it gets an answer or is waited for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from launcher.process.events import Begun
from launcher.process.http import Refusal, Request, Response, parse_request, render_response
from launcher.process.routes import Scene, route
from launcher.process.status import About
from tests.support.history import History, server

WORDS = [
    "GET",
    "POST",
    "/",
    "/status",
    "/logs/a",
    "?",
    "lines=",
    "&",
    "HTTP/1.1",
    "Host:",
    "[",
]
PIECES = [b" ", b"\r\n", b"\r\n\r\n", b"\0", b"\xff", *(word.encode() for word in WORDS)]
LIKE_HTTP = st.lists(st.sampled_from(PIECES)).map(b"".join)


@given(st.one_of(st.binary(max_size=300), LIKE_HTTP))
def test_any_bytes_are_a_request_a_refusal_or_unfinished(data: bytes) -> None:
    found = parse_request(data)
    assert found is None or isinstance(found, Request | Refusal)


@given(LIKE_HTTP)
def test_unfinished_bytes_become_one_of_them_in_the_end(data: bytes) -> None:
    assert parse_request(data + b"\r\n\r\n") is not None


@given(
    st.sampled_from(["GET", "POST", "HEAD", "PUT"]),
    st.sampled_from(["/", "/logs/", "/stop/", "/status", "/readyz", "/reload"]),
    st.text(max_size=90),
    st.booleans(),
)
def test_any_request_gets_a_reply(method: str, path: str, name: str, trusted: bool) -> None:
    history = History(server("a"))
    history.happen(Begun())
    about = About(version="1", pid=1, started_at=0.0)
    scene = Scene(fleet=history.fleet, about=about, now=1.0, notes={})
    request = Request(method=method, path=path + name, query=(("lines", name),))
    reply = route(request, scene, trusted=trusted)
    if isinstance(reply, Response):
        assert render_response(reply).startswith(b"HTTP/1.1 ")
