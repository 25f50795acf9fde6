"""A server whose port is healthy and whose engine is not, and one that is merely busy."""

from __future__ import annotations

import select
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from launcher.process.health import HealthWatch
from launcher.process.spec import Probe, ProcessSpec

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
        self._kept: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.listener.close()
        for connection in self._kept:
            connection.close()

    def _serve(self) -> None:
        tokens = 5
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            path = connection.recv(65536).split()[1].decode()
            self.asked.append(path)
            answer = self.answers.get(path, b"HTTP/1.1 404 no\r\n\r\n")
            if path == "/metrics":
                tokens += self.step
                text = f"vllm:num_requests_running {self.running}\n"
                answer = OK + f"{text}vllm:generation_tokens_total {tokens}\n".encode()
            if answer == SILENT:
                self._kept.append(connection)
                continue
            connection.sendall(answer)
            connection.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def watch_of(server: Server, *, canary: str = "demo", stall_s: float = 0) -> HealthWatch:
    """Watch a server that is healthy already, with everything quick."""
    probe = Probe(host="127.0.0.1", port=server.listener.getsockname()[1], canary=canary)
    spec = ProcessSpec(
        name="a", argv=("a",), probe=probe,
        liveness_interval_s=0.05, liveness_failures=3, liveness_timeout_s=0.1,
        stall_timeout_s=stall_s,
    )  # fmt: skip
    watch = HealthWatch(spec, probe, time.monotonic())
    drive(watch, lambda: watch.healthy)
    return watch


def drive(watch: HealthWatch, done: Callable[[], object], within_s: float = 5) -> None:
    """Drive a watch as the supervisor does, until `done`."""
    until = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < until
        poll = select.poll()
        if watch.descriptor is not None:
            poll.register(watch.descriptor, watch.events)
        ready = poll.poll(max(0, min(50, (watch.due - time.monotonic()) * 1000)))
        if ready or watch.due <= time.monotonic():
            watch.tend(time.monotonic())


def test_engine_that_hangs_behind_a_healthy_port_is_found(server: Server) -> None:
    watch = watch_of(server)
    server.answers["/v1/completions"] = SILENT
    drive(watch, lambda: watch.sick)
    assert watch.sick == (
        "not healthy 3 times in a row (no answer within 0.1 s from a request for one token)"
    )


def test_health_alone_does_not_find_it(server: Server) -> None:
    watch = watch_of(server, canary="")
    server.answers["/v1/completions"] = SILENT
    drive(watch, lambda: server.asked.count("/health") > 6)
    assert watch.sick == ""
    watch.close()


def test_engine_that_is_busy_is_left_alone(server: Server) -> None:
    watch = watch_of(server)
    server.answers["/v1/completions"] = SILENT
    server.running, server.step = 8, 3
    drive(watch, lambda: server.asked.count("/v1/completions") > 7)
    assert watch.sick == ""
    watch.close()


def test_model_that_completes_no_text_is_asked_for_its_health(server: Server) -> None:
    watch = watch_of(server)
    server.answers["/v1/completions"] = b"HTTP/1.1 404 Not Found\r\n\r\n"
    drive(watch, lambda: server.asked.count("/health") > 5)
    assert server.asked.count("/v1/completions") == 1
    assert watch.sick == ""
    watch.close()


def test_requests_that_run_without_tokens_are_found_by_the_counters(server: Server) -> None:
    watch = watch_of(server, canary="", stall_s=0.2)
    server.running = 2
    drive(watch, lambda: watch.sick)
    assert watch.sick == "requests are running, but no token has come for 0.2 s"


@pytest.mark.parametrize(("running", "step"), [(0, 0), (2, 1)], ids=["idle", "moving"])
def test_counters_of_a_sound_engine_raise_no_alarm(server: Server, running: int, step: int) -> None:
    watch = watch_of(server, canary="", stall_s=0.1)
    server.running, server.step = running, step
    drive(watch, lambda: server.asked.count("/metrics") > 8)
    assert watch.sick == ""
    watch.close()
