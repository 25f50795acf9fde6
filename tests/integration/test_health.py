"""The health of servers that answer in every way."""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from launcher.process.health import RECHECK_S, HealthWatch
from launcher.process.spec import Probe, ProcessSpec
from tests.support.wait import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWERS = {
    "200": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
    "200 without a reason": (b"HTTP/1.0 200\r\n\r\n", True),
    "503": (b"HTTP/1.1 503 Loading\r\n\r\n", False),
    "redirect": (b"HTTP/1.1 302 Found\r\n\r\n", False),
    "no answer": (b"", False),
    "status line cut off": (b"HTTP/1.1 2", False),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", False),
    "200 elsewhere": (b"ERROR 200 OK\r\n", False),
    "2000": (b"HTTP/1.1 2000 OK\r\n\r\n", False),
}


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def probe_of(server: socket.socket) -> Probe:
    return Probe(host="127.0.0.1", port=server.getsockname()[1])


def watch_of(probe: Probe, now: float) -> HealthWatch:
    """Watch a server of which two failures in a row count."""
    spec = ProcessSpec(name="a", argv=("a",), liveness_interval_s=30, liveness_failures=2)
    return HealthWatch(spec, probe, now)


def answer_once(server: socket.socket, *pieces: bytes) -> None:
    """Answer the first connection, piece by piece, and close it."""

    def answer() -> None:
        connection, _ = server.accept()
        # Who has read enough may hang up before the last piece.
        with connection, contextlib.suppress(ConnectionError):
            connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)

    threading.Thread(target=answer, daemon=True).start()


def tend_until_asked(check: HealthWatch) -> None:
    """Drive a check as the supervisor does, until its first request is over."""
    until = time.monotonic() + PATIENCE_S
    check.tend(time.monotonic())
    while check.descriptor is not None:
        assert time.monotonic() < until, "the request does not end"
        poll = select.poll()
        poll.register(check.descriptor, check.events)
        poll.poll(100)
        check.tend(time.monotonic())


@pytest.mark.parametrize(("answer", "healthy"), ANSWERS.values(), ids=ANSWERS)
def test_answer_is_judged_by_its_status_line(
    server: socket.socket, answer: bytes, healthy: bool
) -> None:
    answer_once(server, answer)
    check = watch_of(probe_of(server), time.monotonic())
    tend_until_asked(check)
    assert check.healthy is healthy
    check.close()


def test_answer_counts_though_the_server_keeps_the_connection(server: socket.socket) -> None:
    check = watch_of(probe_of(server), time.monotonic())
    check.tend(time.monotonic())
    connection, _ = server.accept()
    with connection:
        check.tend(time.monotonic())
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        tend_until_asked(check)
        assert check.healthy


def test_watch_without_descriptors_left_asks_later(server: socket.socket) -> None:
    check = watch_of(probe_of(server), 0.0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        check.tend(1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (check.healthy, check.descriptor, check.due) == (False, None, 1.0 + RECHECK_S)


def test_answer_that_comes_byte_by_byte_is_put_together(server: socket.socket) -> None:
    answer_once(server, *(bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\n\r\n"))
    check = watch_of(probe_of(server), time.monotonic())
    tend_until_asked(check)
    assert check.healthy


def test_refused_connection_is_tried_again_later(server: socket.socket) -> None:
    probe = probe_of(server)
    server.close()
    now = time.monotonic()
    check = watch_of(probe, now)
    tend_until_asked(check)
    assert not check.healthy
    assert check.due > now


def test_request_without_an_answer_is_given_up(server: socket.socket) -> None:
    check = watch_of(probe_of(server), 0.0)
    check.tend(0.2)  # connects; the kernel accepts, nobody reads
    asking = check.descriptor
    check.tend(check.due)
    assert (asking is None, check.descriptor is None, check.healthy) == (False, True, False)


def test_answer_that_has_come_counts_though_we_were_held_up(server: socket.socket) -> None:
    check = watch_of(probe_of(server), 0.0)
    check.tend(0.2)
    connection, _ = server.accept()
    with connection:
        check.tend(0.3)
        connection.recv(65536)
        connection.sendall(ANSWERS["200"][0])
        assert check.descriptor is not None
        select.select([check.descriptor], [], [], PATIENCE_S)
        check.tend(check.due + 60)
    assert check.healthy


def test_unknown_host_is_no_reason_to_crash() -> None:
    check = watch_of(Probe(host="no-such-host.invalid", port=1), time.monotonic())
    check.tend(time.monotonic())
    assert (check.healthy, check.descriptor) == (False, None)


def test_unix_socket_that_is_not_there_yet_is_tried_again() -> None:
    check = watch_of(Probe(host="", port=0, socket_path="/no/such.sock"), time.monotonic())
    tend_until_asked(check)
    assert (check.healthy, check.descriptor) == (False, None)


def test_healthy_server_is_asked_again_after_the_interval(server: socket.socket) -> None:
    answer_once(server, ANSWERS["200"][0])
    begun = time.monotonic()
    check = watch_of(probe_of(server), begun)
    tend_until_asked(check)
    assert begun + 30 <= check.due <= time.monotonic() + 30


def test_healthy_server_that_fails_is_asked_soon_and_then_counts_as_sick(
    server: socket.socket,
) -> None:
    answer_once(server, ANSWERS["200"][0])
    check = watch_of(probe_of(server), time.monotonic())
    tend_until_asked(check)
    answer_once(server, ANSWERS["503"][0])
    begun = time.monotonic()
    tend_until_asked(check)
    assert begun + RECHECK_S <= check.due <= time.monotonic() + RECHECK_S
    assert check.sick == ""
    answer_once(server, ANSWERS["503"][0])
    tend_until_asked(check)
    assert check.sick == "not healthy 2 times in a row (status 503 from /health)"


def test_one_good_answer_forgets_the_failures_before(server: socket.socket) -> None:
    check = watch_of(probe_of(server), time.monotonic())
    for answer in ("200", "503", "200", "503"):
        answer_once(server, ANSWERS[answer][0])
        tend_until_asked(check)
    assert check.sick == ""
