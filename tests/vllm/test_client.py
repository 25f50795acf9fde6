"""`vllmd generate`, `vllmd batch` and `launcher.client`; the real server is killed once."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.api_stub import Batch, vllmd
from tests.support.ports import free_port
from tests.support.require import require_module
from tests.support.running import running
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.running import Running

START_S = 480  # about 25 s on two idle cores
REQUESTS = 1000  # for many times as long as it takes to kill the server
KEY = "sk-of-the-test"
pytestmark = pytest.mark.timeout(1200)

CONFIG = """
[master]
python = "{python}"
[master.env]
VLLM_CPU_KVCACHE_SPACE = 1
HF_HUB_OFFLINE = 1
[instance.demo.control]
gpu_ids = "none"
log_dir = "{folder}/logs"
[instance.demo.server]
model = "{model}"
served_model_name = "demo"
host = "127.0.0.1"
port = {port}
dtype = "bfloat16"
max_model_len = 256
enforce_eager = true
api_key = "file:{folder}/key"
"""


class Server:
    """The demo model on real vLLM, started by a launcher."""

    def __init__(self, config: Path, port: int, run: Running) -> None:
        self.config = config
        self.url = f"http://127.0.0.1:{port}"
        self.run = run

    def kill(self) -> None:
        """Kill it, as a machine that runs out of memory would; the launcher lives on."""
        pid = self.run.stderr.rpartition("started (pid ")[2].split(")")[0]
        os.kill(int(pid), signal.SIGKILL)


@pytest.fixture(scope="module")
def server(
    vllm_python: str, demo_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    require_module("vllm", "httpx")
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    text = CONFIG.format(python=vllm_python, folder=folder, model=demo_model, port=port)
    (folder / "vllm.toml").write_text(text)
    (folder / "key").write_text(KEY)
    with running(["run", str(folder / "vllm.toml")]) as run:
        run.wait_for("demo: healthy", START_S)
        yield Server(folder / "vllm.toml", port, run)


def test_generate_finds_model_and_key_of_the_instance(server: Server) -> None:
    words = ("Hello", "--max-tokens", "16", "--temperature", "0")
    done = vllmd("generate", *words, "--config", str(server.config))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 17
    streamed = vllmd("generate", *words, "--config", str(server.config), "--stream")
    assert streamed.stdout == done.stdout


def test_generate_of_too_much_tells_the_servers_reason(server: Server) -> None:
    done = vllmd("generate", "Hello", "--max-tokens", "999", "--config", str(server.config))
    assert done.returncode == 1
    assert "max_tokens=999 cannot be greater than max_model_len=256" in done.stderr


def test_client_generates_chats_and_streams(server: Server) -> None:
    from launcher.client.api import Client  # noqa: PLC0415  (httpx may be missing)

    messages = [{"role": "user", "content": "Hi"}]
    with Client(server.url, api_key=KEY) as client:
        assert client.models() == ("demo",)
        answer = client.chat("Hi", max_tokens=8, temperature=0)
        assert answer.usage.completion_tokens == 8
        assert len(answer.text) == 8
        assert answer.finish_reason == "length"
        # How many pieces there are is up to the server: it joins those that wait.
        pieces = list(client.stream(messages, max_tokens=8, temperature=0, timeout=60_000))
        assert "".join(pieces) == answer.text
        text = client.generate("Hello", max_tokens=4, temperature=0, timeout="batch_job").text
        assert len(text) == 4


def test_batch_over_a_server_that_is_killed_has_each_result_once(
    server: Server, tmp_path: Path
) -> None:
    batch = Batch(tmp_path)
    batch.write(
        (f"number {n}" for n in range(REQUESTS)), model="demo", max_tokens=12, temperature=0
    )
    run = batch.start("demo", "--config", str(server.config), "--concurrency", "16")
    wait_until(lambda: batch.count() > 0 or run.poll() is not None, "a first result")
    server.kill()
    assert batch.count() < REQUESTS, "the server was killed too late"
    _, said = run.communicate(timeout=START_S)  # the launcher starts it again
    assert run.returncode == 0, said
    assert "waiting for it, at most 10 min" in said
    assert f"{server.url} is healthy" in said
    batch.assert_each_once(REQUESTS)
    for line in batch.lines():
        assert line["error"] is None
        assert line["response"]["body"]["usage"]["completion_tokens"] == 12


VALIDATE = """
import sys
from vllm.entrypoints.launchers.run_batch import BatchRequestInput, BatchRequestOutput

for model, path in ((BatchRequestInput, sys.argv[1]), (BatchRequestOutput, sys.argv[2])):
    for line in open(path, encoding="utf-8"):
        model.model_validate_json(line)
"""


def test_batch_files_are_those_of_vllms_own_batches(
    server: Server, vllm_python: str, tmp_path: Path
) -> None:
    batch = Batch(tmp_path)
    batch.write(["good", "x" * 999], model="demo", max_tokens=2)
    done = batch.run("demo", "--config", str(server.config))
    assert done.returncode == 1
    assert {line["error"] is None for line in batch.lines()} == {True, False}
    words = [vllm_python, "-c", VALIDATE, str(batch.requests), str(batch.results)]
    subprocess.run(words, check=True, capture_output=True)
