"""KVBM's option, as the installed vLLM takes it and as a connector in it receives it."""

from __future__ import annotations

import json
import shlex
import urllib.request
from pathlib import Path

import pytest

from launcher.cli.kvbm import main
from tests.support.kvbm import EXAMPLE
from tests.support.ports import free_port
from tests.support.real_parser import RealParser
from tests.support.running import running

START_S = 480  # about 25 s on two idle cores
PROGRAMS = Path(__file__).parents[1] / "programs"
pytestmark = pytest.mark.timeout(1200)

CONFIG = """
[master]
python = "{python}"
[master.env]
VLLM_CPU_KVCACHE_SPACE = 1
HF_HUB_OFFLINE = 1
PYTHONPATH = "{programs}"
NOOP_CONNECTOR_FILE = "{folder}/told.jsonl"

[kvbm]
enable = true
kv_connector = "NoopConnector"
kv_connector_module_path = "noop_connector"
kv_load_failure_policy = "recompute"
multi_connector = true
default.nova.backend.tcp_port = 0

[kvbm.leader]
cache.host.cache_size_gb = 4.0
tokio.worker_threads = 2
nova.discovery.filesystem.path = "/srv/discovery/cluster.json"
offload.g1_to_g2.policies = ["presence"]
offload.g2_to_g3 = {{ policies = ["presence_lfu"], presence_lfu = {{ min_lfu_count = 8 }} }}

[kvbm.leader.object.client]
type = "s3"
endpoint_url = "http://minio:9000"
bucket = "kvbm-blocks"
region = "us-east-1"
force_path_style = true
max_concurrent_requests = 16

[kvbm.worker]
nixl.backends = {{ UCX = {{}}, POSIX = {{}} }}
tokio.worker_threads = 1

[instance.demo.kvbm]
worker.cache.host.cache_size_gb = 2.0

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
"""
OTHER = """
[instance.demo.server.kv_transfer_config]
kv_connector = "NoopConnector"
kv_connector_module_path = "noop_connector"
kv_role = "kv_both"
kv_connector_extra_config = { other = true }
"""


def complete(port: int) -> str:
    body = {"model": "demo", "prompt": "Hello", "max_tokens": 8, "temperature": 0}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        text: str = json.load(answer)["choices"][0]["text"]
    return text


def test_flag_is_taken_by_the_real_parser(
    vllm_python: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["flag", "--json", json.dumps(EXAMPLE), "--kv-load-failure-policy", "recompute"]
    assert main(argv, {}) == 0
    tokens = shlex.split(capsys.readouterr().out)
    fields = ["kv_connector", "kv_connector_module_path", "kv_role", "kv_load_failure_policy",
              "kv_connector_extra_config"]  # fmt: skip
    with RealParser(vllm_python) as parser:
        taken = parser.parse(tokens, "kv_transfer_config", fields)
    assert taken == {
        "kv_connector": "DynamoConnector",
        "kv_connector_module_path": "kvbm.v2.vllm.connector",
        "kv_role": "kv_both",
        "kv_load_failure_policy": "recompute",
        "kv_connector_extra_config": EXAMPLE,
    }


def tell(folder: Path, python: str, model: Path, more: str = "") -> list[tuple[str, object]]:
    """Serve one completion; return the role and the settings of every connector that was built."""
    port = free_port()
    config = folder / "vllm.toml"
    text = CONFIG.format(python=python, programs=PROGRAMS, folder=folder, model=model, port=port)
    config.write_text(text + more)
    with running(["run", str(config)]) as run:
        run.wait_for("demo: healthy", START_S)
        assert complete(port)
        assert run.stop() == 0
    lines = (folder / "told.jsonl").read_text().splitlines()
    return [(told["role"], told["extra_config"]) for told in map(json.loads, lines)]


def test_connector_in_both_roles_receives_the_three_sections(
    tmp_path: Path, vllm_python: str, demo_model: Path
) -> None:
    told = tell(tmp_path, vllm_python, demo_model)
    assert {role for role, _ in told} == {"SCHEDULER", "WORKER"}
    assert [settings for _, settings in told] == [EXAMPLE] * len(told)


def test_connector_beside_another_one_receives_them_too(
    tmp_path: Path, vllm_python: str, demo_model: Path
) -> None:
    told = tell(tmp_path, vllm_python, demo_model, OTHER)
    for role in ("SCHEDULER", "WORKER"):
        assert [settings for each, settings in told if each == role] == [EXAMPLE, {"other": True}]
