"""One token and two counters: what tells an engine that hangs from one that is busy."""

from __future__ import annotations

import json

from launcher.process.canary import (
    Progress,
    Stall,
    note_progress,
    read_progress,
    render_generate,
)
from launcher.process.spec import Probe, ProcessSpec, Variable

# As vLLM 0.32 prints them, of two engines.
METRICS = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="demo"} 2.0
vllm:num_requests_running{engine="1",model_name="demo"} 1.0
vllm:num_requests_waiting{engine="0",model_name="demo"} 7.0
vllm:generation_tokens_total{engine="0",model_name="demo"} 40.0
vllm:generation_tokens_total{engine="1",model_name="demo"} 2.0
vllm:iteration_tokens_total_bucket{engine="0",le="1.0",model_name="demo"} 9.0
vllm:iteration_tokens_total_sum{engine="0",model_name="demo"} 100.0
process_cpu_seconds_total 7.0
"""
PROBE = Probe(host="127.0.0.1", port=8000, canary='de"mo')
SPEC = ProcessSpec(name="a", argv=("a",), probe=PROBE)


def canary(spec: ProcessSpec, environ: dict[str, str]) -> tuple[str, dict[str, object]]:
    head, _, body = render_generate(spec, PROBE, environ, PROBE.canary).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head.decode()
    return head.decode(), json.loads(body)


def test_canary_asks_the_model_for_one_token() -> None:
    head, body = canary(SPEC, {})
    assert head.startswith("POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert body == {"model": 'de"mo', "prompt": "a", "max_tokens": 1, "temperature": 0}
    assert "Authorization" not in head


def test_canary_shows_the_key_of_its_server() -> None:
    own = ProcessSpec(name="a", argv=("a",), env=(Variable(name="VLLM_API_KEY", value="own"),))
    assert "Authorization: Bearer own" in canary(own, {"VLLM_API_KEY": "inherited"})[0]
    assert "Authorization: Bearer inherited" in canary(SPEC, {"VLLM_API_KEY": "inherited"})[0]


def test_counters_are_summed_over_the_engines() -> None:
    assert read_progress(METRICS) == Progress(running=3, tokens=142)


def test_page_without_vllms_counters_says_nothing() -> None:
    assert read_progress(b"process_cpu_seconds_total 7.0\n") is None
    assert read_progress(b"") is None


def test_requests_without_tokens_stall_from_the_second_look_on() -> None:
    stuck = Progress(running=1, tokens=5)
    first = note_progress(Stall(), stuck, 10)
    second = note_progress(first, stuck, 20)
    third = note_progress(second, stuck, 30)
    assert (first.since, second.since, third.since) == (None, 20, 20)


def test_token_or_an_idle_engine_ends_a_stall() -> None:
    stalled = Stall(tokens=5, since=20)
    assert note_progress(stalled, Progress(running=1, tokens=6), 30).since is None
    assert note_progress(stalled, Progress(running=0, tokens=5), 30).since is None
    assert note_progress(stalled, None, 30).since is None
