"""A real vLLM on two machines: two launchers, one file, an answer, and again after a crash."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.machines import two_machines
from tests.support.ports import free_port
from tests.support.running import running
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.machines import Machine
    from tests.support.running import Running

START_S = 600  # about 40 s on two idle cores
FOUND_S = 120
STOP_S = 120  # a headless worker takes 12 s on two idle cores, and is not to be killed
pytestmark = pytest.mark.timeout(1800)
TOKENS = 8


class Group:
    """Two launchers on one configuration, rank 0 first."""

    def __init__(self, machines: tuple[Machine, Machine], config: Path, port: int) -> None:
        self.machines = machines
        self.config = config
        self.port = port
        self.runs: list[Running] = []

    def start(self, stack: ExitStack) -> None:
        for rank, machine in enumerate(self.machines):
            environ = {**machine.environ, "VLLMD_CLUSTER_RANK": str(rank)}
            log_dir = f'instance.control.log_dir="{self.config.parent}/{rank}"'
            control = f'master.control_socket="{self.config.parent}/{rank}.sock"'
            words = ["run", str(self.config), "--set", log_dir, "--set", control]
            self.runs.append(stack.enter_context(running(words, environ, machine.prefix)))

    def complete(self) -> Any:
        """Return a completion of the leader."""
        body = {"model": "demo", "prompt": "hello world", "max_tokens": TOKENS, "temperature": 0}
        request = urllib.request.Request(
            f"http://{self.machines[0].address}:{self.port}/v1/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def is_healthy_again(self, times: int) -> bool:
        return self.runs[0].stderr.count("demo: healthy after") >= times

    def wait_healthy(self, times: int = 1) -> None:
        def come() -> bool:
            assert all(run.process.poll() is None for run in self.runs), self.said()
            return self.is_healthy_again(times)

        try:
            wait_until(come, f"the leader to be healthy, time {times}", START_S)
        except AssertionError as error:
            raise AssertionError(self.said()) from error

    def stop(self) -> None:
        """Stop both: nothing is left."""
        for run in self.runs:
            run.process.send_signal(signal.SIGTERM)
        assert [run.wait(STOP_S + 60) for run in self.runs] == [0, 0], self.said()
        assert [run.descendants() for run in self.runs] == [[], []]

    def said(self) -> str:
        return "\n--\n".join(run.stderr for run in self.runs)


@pytest.fixture
def group(
    request: pytest.FixtureRequest, tmp_path: Path, vllm_python: str, demo_model: Path
) -> Iterator[Group]:
    port = free_port()
    with two_machines() as machines, ExitStack() as stack:
        path = tmp_path / "vllm.toml"
        path.write_text(f"""
[master]
python = "{vllm_python}"
[master.env]
VLLM_CPU_KVCACHE_SPACE = 1
HF_HUB_OFFLINE = 1
[instance.control]
gpu_ids = "none"
stop_timeout_s = {STOP_S}
[instance.demo.server]
model = "{demo_model}"
served_model_name = "demo"
host = "{machines[0].address}"
port = {port}
dtype = "bfloat16"
max_model_len = 256
enforce_eager = true
{request.param} = 2
[instance.demo.cluster]
nodes = 2
leader = "{machines[0].address}"
port = {free_port()}
link_port = {free_port()}
""")
        made = Group(machines, path, port)
        made.start(stack)
        yield made


def _pid_of_server(run: Running) -> int:
    run.wait_for("demo: started (pid ", FOUND_S)
    return int(run.stderr.split("demo: started (pid ")[1].split(")")[0])


@pytest.mark.parametrize("group", ["tensor_parallel_size"], indirect=True)
def test_split_model_answers_again_after_its_worker_died(group: Group) -> None:
    group.wait_healthy()
    assert group.complete()["usage"]["completion_tokens"] == TOKENS
    leader, worker = group.runs
    former = [set(run.descendants()) for run in group.runs]
    os.kill(_pid_of_server(worker), signal.SIGKILL)
    leader.wait_for("demo: lost the machine of rank 1", FOUND_S)
    group.wait_healthy(times=2)
    assert group.complete()["usage"]["completion_tokens"] == TOKENS
    assert not former[0] & set(leader.descendants())
    assert not former[1] & set(worker.descendants())
    group.stop()


@pytest.mark.parametrize("group", ["data_parallel_size"], indirect=True)
def test_replicas_answer_and_the_worker_misses_its_leader(group: Group) -> None:
    group.wait_healthy()
    # The leader gives requests to its replicas in turn: the other machine's among them.
    assert [group.complete()["usage"]["completion_tokens"] for _ in range(4)] == [TOKENS] * 4
    os.kill(_pid_of_server(group.runs[0]), signal.SIGKILL)
    group.runs[1].wait_for("demo: lost its leader at", FOUND_S)
    group.runs[1].wait_for("demo: stopped (", FOUND_S)
    group.stop()
