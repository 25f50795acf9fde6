"""A server whose port is healthy and whose engine is not, and one that is merely busy."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from launcher.process.health import HealthWatch
from launcher.process.spec import Probe, ProcessSpec
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OK = b"HTTP/1.1 200 OK\r\n\r\n"
SILENT = b""  # holds the connection and never answers


class Server:
    """Answers each path as told; the counters of `/metrics` move by `step` with every look."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.asked: list[str] = []
        self.answers = {"/health": OK, "/v1/completions": OK}
        self.running = 0
        self.step = 0
        self.comments = b""  # before the counters
        self.silences: list[socket.socket] = []  # the connections without an answer
        self.closing = contextlib.ExitStack()
        self._tokens = 5
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.closing.close()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.silences:
            connection.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self.listener.accept()
                with contextlib.suppress(OSError):  # the watch was
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        words = connection.recv(65536).split()
        path = words[1].decode() if words else ""
        self.asked.append(path)
        answer = self.answers.get(path, b"HTTP/1.1 404 no\r\n\r\n")
        if path == "/metrics":
            self._tokens += self.step
            text = f"vllm:num_requests_running {self.running}\n"
            text += f"vllm:generation_tokens_total {self._tokens}\n"
            answer = OK + self.comments + text.encode()
        if answer == SILENT:
            self.silences.append(connection)
            return
        with connection:
            connection.sendall(answer)


@pytest.fixture
def server() -> Iterator[Server]:
    with contextlib.closing(Server()) as server:
        yield server


class Watched:
    """A watch of a server that is healthy already, and a clock that goes where nothing happens.

    So a machine that is busy is no server that is slow.
    """

    def __init__(self, server: Server, *, canary: str = "demo", stall_s: float = 0) -> None:
        probe = Probe(host="127.0.0.1", port=server.listener.getsockname()[1], canary=canary)
        spec = ProcessSpec(
            name="a", argv=("a",), probe=probe,
            liveness_interval_s=0.05, liveness_failures=3, liveness_timeout_s=0.1,
            stall_timeout_s=stall_s,
        )  # fmt: skip
        self.now = 0.0
        self.watch = HealthWatch(spec, probe, self.now)
        self._server = server
        self._given_up = 0
        server.closing.callback(self.watch.close)
        self.drive(lambda: self.watch.healthy)

    @property
    def sick(self) -> str:
        return self.watch.sick

    def drive(self, done: Callable[[], object]) -> None:
        """Drive the watch as the supervisor does, until `done`."""

        def is_done() -> bool:
            self._tend()
            return bool(done())

        wait_until(is_done, "the watch to come so far")

    def _tend(self) -> None:
        if self.watch.descriptor is None:
            self.now = self.watch.due
        else:
            poll = select.poll()
            poll.register(self.watch.descriptor, self.watch.events)
            if not poll.poll(10):
                if len(self._server.silences) == self._given_up:
                    return  # the answer is under way
                self._given_up += 1
                self.now = self.watch.due
        self.watch.tend(self.now)


def test_engine_that_hangs_behind_a_healthy_port_is_found(server: Server) -> None:
    watch = Watched(server)
    server.answers["/v1/completions"] = SILENT
    watch.drive(lambda: watch.sick)
    assert watch.sick == (
        "not healthy 3 times in a row (no answer within 0.1 s from a request for one token)"
    )


def test_health_alone_does_not_find_it(server: Server) -> None:
    watch = Watched(server, canary="")
    server.answers["/v1/completions"] = SILENT
    watch.drive(lambda: server.asked.count("/health") > 6)
    assert watch.sick == ""


def test_engine_that_is_busy_is_left_alone(server: Server) -> None:
    watch = Watched(server)
    server.answers["/v1/completions"] = SILENT
    server.running, server.step = 8, 3
    watch.drive(lambda: server.asked.count("/v1/completions") > 7)
    assert watch.sick == ""


def test_counters_at_the_end_of_a_long_page_are_read(server: Server) -> None:
    watch = Watched(server)
    server.answers["/v1/completions"] = SILENT
    server.running, server.step, server.comments = 8, 3, b"# what it means\n" * 20_000
    watch.drive(lambda: server.asked.count("/v1/completions") > 7)
    assert watch.sick == ""


def test_model_that_completes_no_text_is_asked_for_its_health(server: Server) -> None:
    watch = Watched(server)
    server.answers["/v1/completions"] = b"HTTP/1.1 404 Not Found\r\n\r\n"
    watch.drive(lambda: server.asked.count("/health") > 5)
    assert server.asked.count("/v1/completions") == 1
    assert watch.sick == ""


def test_requests_that_run_without_tokens_are_found_by_the_counters(server: Server) -> None:
    watch = Watched(server, canary="", stall_s=0.2)
    server.running = 2
    watch.drive(lambda: watch.sick)
    assert watch.sick == "requests are running, but no token has come for 0.2 s"


@pytest.mark.parametrize(("running", "step"), [(0, 0), (2, 1)], ids=["idle", "moving"])
def test_counters_of_a_sound_engine_raise_no_alarm(server: Server, running: int, step: int) -> None:
    watch = Watched(server, canary="", stall_s=0.1)
    server.running, server.step = running, step
    watch.drive(lambda: server.asked.count("/metrics") > 8)
    assert watch.sick == ""
