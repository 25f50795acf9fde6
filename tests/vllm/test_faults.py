"""Faults with real vLLM on the CPU: found, cleaned up, said, started again, answering again."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.ports import free_port
from tests.support.processes import all_pids, read_proc, session_of
from tests.support.running import Running, running
from tests.support.wait import wait_until
from tests.vllm.test_serving import START_S, complete, write_config

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(1200)
ENGINE = b"VLLM::EngineCor"  # the kernel keeps 15 characters
FOUND_S = 300


def times(run: Running, text: str) -> int:
    return run.stderr.count(text)


def wait_again(run: Running, text: str, count: int, within_s: float) -> None:
    """Wait until a text has been said for the `count`-th time."""
    wait_until(lambda: times(run, text) >= count, f"{count} x {text!r}", within_s)


def server_pid(run: Running) -> int:
    """Return the process that was started last."""
    return int(run.stderr.rpartition("started (pid ")[2].split(")")[0])


def session(leader: int) -> list[int]:
    """Return the processes of a server: all keep its session, some overwrite their environment."""
    return [pid for pid in all_pids() if session_of(pid) == leader]


def engine(run: Running) -> int:
    """Return the engine of the server that was started last."""
    members = session(server_pid(run))
    return next(pid for pid in members if read_proc(pid, "comm").strip() == ENGINE)


def test_faults_of_one_life_are_each_found_and_followed_by_an_answer(
    tmp_path: Path, vllm_python: str, demo_model: Path
) -> None:
    port = free_port()
    config = write_config(tmp_path, vllm_python, demo_model, {"demo": port})
    settings = (
        "health_interval_s=2", "health_timeout_s=8", "health_failures=2", 'probe="generate"',
        "stop_timeout_s=30", "max_restarts=9",
    )  # fmt: skip
    words = [word for each in settings for word in ("--set", f"instance.control.{each}")]
    with running(["run", str(config), *words]) as run:
        run.wait_for("demo: healthy", START_S)
        run.wait_for(" import ", START_S)  # what the start was made of: said a little later
        text = complete(port, "demo")

        former = session(server_pid(run))
        assert len(former) >= 3  # server, engine, worker
        os.kill(server_pid(run), signal.SIGKILL)
        run.wait_for("demo: ended without being asked (killed by SIGKILL)", FOUND_S)
        wait_again(run, "demo: healthy after", 2, START_S)
        assert not set(former) & set(all_pids())  # engine and worker have gone with it
        assert complete(port, "demo") == text

        os.kill(engine(run), signal.SIGKILL)
        wait_again(run, "demo: healthy after", 3, START_S)
        # vLLM notices it and ends; on a busy machine its bad health may be seen before that.
        ended = "demo: ended without being asked (exit code 0)" in run.stderr
        told = "demo: it was: a process of its engine has died" in run.stderr
        assert (ended and told) or "in a row" in run.stderr, run.stderr
        assert complete(port, "demo") == text

        former = session(server_pid(run))
        os.kill(engine(run), signal.SIGSTOP)
        run.wait_for("(no answer within 8 s from a request for one token): stopping it", FOUND_S)
        wait_again(run, "demo: healthy after", 4, START_S)
        assert not set(former) & set(all_pids())
        assert complete(port, "demo") == text

        os.kill(server_pid(run), signal.SIGSTOP)
        wait_again(run, "(no answer within 8 s from a request for one token)", 2, FOUND_S)
        # While it waits for its engine, vLLM 0.32 may not heed a SIGTERM.
        wait_again(run, "demo: healthy after", 5, START_S)
        former = session(server_pid(run))
        assert run.stop() == 0
        assert not set(former) & set(all_pids())


def test_mistakes_of_a_user_are_called_by_their_names(
    tmp_path: Path, vllm_python: str, demo_model: Path
) -> None:
    ports = {"flag": free_port(), "model": free_port(), "port": free_port()}
    config = write_config(tmp_path, vllm_python, demo_model, ports)
    model = tmp_path / "no-model"
    model.mkdir()
    (model / "README").touch()  # an empty folder would not be started at all
    text = config.read_text().replace("[instance.control]", '[instance.control]\nrestart = "no"')
    text = text.replace("[instance.flag.server]", "[instance.flag.server]\nextra_args = ['--nope']")
    text = text.replace("[instance.model.server]", f"[instance.model.server]\nmodel = '{model}'")
    # Forked, it would have its port before we do; cold, it imports for seconds first.
    config.write_text(f'{text}[instance.port.control]\nstart_mode = "cold"\n')
    expected = {
        "flag": "vLLM does not take one of its options",
        "model": "the model's files are not there, or not all of them",
        "port": "its address is taken by another program",
    }
    with running(["run", str(config)]) as run:
        run.wait_for("port: started (pid ", FOUND_S)  # it was free before; vLLM imports for seconds
        with socket.create_server(("127.0.0.1", ports["port"])):
            for name, words in expected.items():
                run.wait_for(f"{name}: it was: {words}", START_S)
