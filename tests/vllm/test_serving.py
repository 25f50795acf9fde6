"""The whole path: a TOML file, `vllmd run`, a real vLLM server on the CPU, an answer."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.launching import is_listening
from tests.support.ports import free_port
from tests.support.running import running
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

START_S = 480  # about 25 s on two idle cores
ANSWER_S = 300
pytestmark = pytest.mark.timeout(1200)

INSTANCE = """
[instance.{name}.server]
served_model_name = "{name}"
port = {port}
"""


def write_config(folder: Path, python: str, model: Path, ports: dict[str, int]) -> Path:
    """Write a file with one instance of the demo model for each name and port."""
    text = f"""
[master]
python = "{python}"
[instance.control]
gpu_ids = "none"
log_dir = "{folder}/logs"
stop_timeout_s = 100
[instance.server]
model = "{model}"
host = "127.0.0.1"
dtype = "bfloat16"
max_model_len = 256
enforce_eager = true
[master.env]
VLLM_CPU_KVCACHE_SPACE = 1
HF_HUB_OFFLINE = 1
"""
    text += "".join(INSTANCE.format(name=name, port=port) for name, port in ports.items())
    path = folder / "vllm.toml"
    path.write_text(text)
    return path


def get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=ANSWER_S) as answer:
        return json.load(answer)


def post(port: int, path: str, body: dict[str, object]) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
        return json.load(answer)


def complete(port: int, model: str) -> str:
    body = {"model": model, "prompt": "Hello", "max_tokens": 8, "temperature": 0}
    text: str = post(port, "/v1/completions", body)["choices"][0]["text"]
    return text


def test_run_serves_completions_and_leaves_nothing(
    tmp_path: Path, vllm_python: str, demo_model: Path
) -> None:
    port = free_port()
    config = write_config(tmp_path, vllm_python, demo_model, {"demo": port})
    with running(["run", str(config)]) as run:
        run.wait_for("demo: healthy", START_S)
        run.wait_for(f"curl -s http://127.0.0.1:{port}/v1/completions", START_S)
        text = complete(port, "demo")
        assert text
        assert complete(port, "demo") == text
        chat = {"model": "demo", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}
        answer = post(port, "/v1/chat/completions", chat)
        assert answer["choices"][0]["message"]["content"]
        assert answer["usage"]["completion_tokens"] == 8
        assert run.descendants()

        assert run.stop() == 0

        assert run.descendants() == []
        assert not is_listening(port)
    assert "Application startup complete" in (tmp_path / "logs/vllm-server-demo.log").read_text()


def test_two_instances_of_one_file_answer_by_their_names(
    tmp_path: Path, vllm_python: str, demo_model: Path
) -> None:
    ports = {"first": free_port(), "second": free_port()}
    config = write_config(tmp_path, vllm_python, demo_model, ports)
    with running(["run", str(config)]) as run:
        for name, port in ports.items():
            run.wait_for(f"{name}: healthy", START_S)
            assert [model["id"] for model in get(port, "/v1/models")["data"]] == [name]
        assert complete(ports["first"], "first") == complete(ports["second"], "second")
        assert run.stop() == 0
        assert run.descendants() == []


def test_overrides_variable_changes_the_served_model_name(
    tmp_path: Path, vllm_python: str, demo_model: Path
) -> None:
    port = free_port()
    config = write_config(tmp_path, vllm_python, demo_model, {"demo": port})
    overrides = {"instance": {"demo": {"server": {"served_model_name": "renamed"}}}}
    environ = {
        "AUTO_INFER_VLLM_CONFIG": str(config),
        "AUTO_INFER_VLLM_OVERRIDES": json.dumps(overrides),
    }
    with running(["run", "--"], environ) as run:
        run.wait_for("demo: healthy", START_S)
        assert [model["id"] for model in get(port, "/v1/models")["data"]] == ["renamed"]
        assert complete(port, "renamed")
        assert run.stop() == 0


def test_killed_server_leaves_no_engine(tmp_path: Path, vllm_python: str, demo_model: Path) -> None:
    """The engine of a server that was killed would hold its GPU memory for ever."""
    port = free_port()
    config = write_config(tmp_path, vllm_python, demo_model, {"demo": port})
    with running(["run", str(config), "--set", "instance.control.restart=no"]) as run:
        run.wait_for("demo: healthy", START_S)
        started = run.stderr.split("started (pid ")[1]
        pid = int(started.split(")")[0])
        assert len(run.descendants()) > 1
        os.kill(pid, signal.SIGKILL)
        assert run.wait(START_S) == 137
        wait_until(lambda: run.descendants() == [], "the end of all its processes")
    assert "demo: ended without being asked (killed by SIGKILL)" in run.stderr
