"""Planning: values in, processes out."""

from __future__ import annotations

import pytest

from launcher.process.spec import LogSpec, Probe
from tests.support.facts import (
    MODEL,
    env_of,
    flags_of,
    messages_of,
    plan_text,
    process_of,
)


def gpus(**ids: str) -> str:
    """Write an instance for each name, on the GPUs given, each on its own port."""
    return "".join(
        f"[instance.{name}.control]\ngpu_ids = {value}\n"
        f"[instance.{name}.server]\n{MODEL}port = {8000 + position}\n"
        "gpu_memory_utilization = 0.1\n"
        for position, (name, value) in enumerate(ids.items())
    )


def after(toml: str, *, accelerators: bool = False) -> dict[str, tuple[str, ...]]:
    plan = plan_text(toml, accelerators=accelerators)
    assert messages_of(plan) == []
    return {each.name: each.after for each in plan.processes()}


def test_order_of_servers_on_their_own_gpus_is_free() -> None:
    assert after(gpus(a='"0"', b='"1"')) == {"a": (), "b": ()}


def test_order_of_servers_on_one_gpu_is_a_chain() -> None:
    assert after(gpus(a='"0"', b='"0"', c='"0"')) == {"a": (), "b": ("a",), "c": ("b",)}


def test_order_of_servers_on_several_gpus_waits_for_the_last_on_each() -> None:
    chain = after(gpus(a='"0"', b='"1"', c='"0,1"', d='"1"', e='"0"'))
    assert chain == {"a": (), "b": (), "c": ("a", "b"), "d": ("c",), "e": ("c",)}


def test_order_of_a_server_that_sees_all_gpus_is_behind_all_before_it() -> None:
    chain = after(gpus(a='"0"', b='"1"', c='"all"', d='"1"', e='"1,2"'), accelerators=True)
    assert chain == {"a": (), "b": (), "c": ("a", "b"), "d": ("c",), "e": ("d", "c")}


def test_order_of_servers_without_gpus_is_free() -> None:
    assert after(gpus(a='"none"', b='"none"'), accelerators=True) == {"a": (), "b": ()}


def test_order_of_servers_on_a_machine_without_gpus_is_free() -> None:
    assert after(gpus(a='"all"', b='"all"')) == {"a": (), "b": ()}
    assert after(gpus(a='"all"', b='"all"'), accelerators=True) == {"a": (), "b": ("a",)}


def test_skipped_servers_hold_no_gpu_and_no_port() -> None:
    off = "[instance.b.control]\nenabled = false\ngpu_ids = '0'\n[instance.b.server]\nport = 8000\n"
    plan = plan_text(off + gpus(a='"0"'))
    assert process_of(plan).after == ()
    assert messages_of(plan) == []


def env(tables: str, control: str = "", **environ: str) -> dict[str, str]:
    toml = f"{tables}\n[instance.a.control]\n{control}\n[instance.a.server]\n{MODEL}"
    return env_of(plan_text(toml, environ=environ))


def test_environment_without_settings_is_the_standard_one() -> None:
    assert env("") == {"PYTHONUNBUFFERED": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_environment_that_is_inherited_is_not_overruled_by_the_standard_one() -> None:
    assert env("", PYTHONUNBUFFERED="", CUDA_DEVICE_ORDER="FASTEST_FIRST") == {}


def test_environment_of_an_instance_wins_over_the_shared_and_the_standard_one() -> None:
    tables = "[master.env]\nX = 1\nY = 2.5\n[instance.a.env]\nX = 'own'\nPYTHONUNBUFFERED = ''\n"
    assert env(tables) == {
        "PYTHONUNBUFFERED": "",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "X": "own",
        "Y": "2.5",
    }


def test_environment_secret_option_wins_over_the_variable() -> None:
    tables = "[instance.server]\napi_key = 'option'\n[master.env]\nVLLM_API_KEY = 'variable'\n"
    assert env(tables)["VLLM_API_KEY"] == "option"


def test_environment_gpu_ids_come_last() -> None:
    tables = "[instance.a.env]\nCUDA_VISIBLE_DEVICES = '7'\n"
    assert env(tables)["CUDA_VISIBLE_DEVICES"] == "7"
    assert env(tables, "gpu_ids = '0'")["CUDA_VISIBLE_DEVICES"] == "0"


def test_environment_of_the_launcher_is_not_passed_on() -> None:
    plan = plan_text(f"[instance.a.server]\n{MODEL}")
    assert process_of(plan).unset == ("AUTO_INFER_VLLM_CONFIG", "AUTO_INFER_VLLM_OVERRIDES")


@pytest.mark.parametrize(
    ("mode", "adopts", "wanted"),
    [("auto", True, None), ("auto", False, "0"), ("on", True, "1"), ("off", True, "0")],
)
def test_environment_v1_multiprocessing(mode: str, adopts: bool, wanted: str | None) -> None:
    toml = f'[instance.a.control]\nv1_multiprocessing = "{mode}"\n[instance.a.server]\n{MODEL}'
    plan = plan_text(toml, adopts_orphans=adopts)
    assert env_of(plan).get("VLLM_ENABLE_V1_MULTIPROCESSING") == wanted


def test_process_has_what_control_says() -> None:
    plan = plan_text(
        "[instance.a.control]\nlog_file = '/l'\nlog_max_mb = 2\nlog_keep = 1\n"
        "startup_timeout_s = 5\nstop_timeout_s = 0.5\nbackground = false\n"
        f"[instance.a.server]\n{MODEL}host = '::1'\nport = 81\n"
    )
    process = process_of(plan)
    assert process.log == LogSpec(path="/l", max_bytes=2_000_000, keep=1)
    assert process.probe == Probe(host="::1", port=81)
    assert process.foreground
    assert (process.startup_timeout_s, process.stop_timeout_s) == (5, 0.5)


def test_preset_sets_what_the_file_does_not() -> None:
    toml = '[instance.a.control]\npreset = "low-memory"\n[instance.a.server]\nmax_model_len = 9\n'
    assert flags_of(plan_text(f"{toml}{MODEL}")) == [
        "--gpu-memory-utilization", "0.7", "--max-model-len", "9", "--model", "org/model",
    ]  # fmt: skip


def test_try_it_is_for_vllm_only() -> None:
    toml = f"[instance.a.server]\n{MODEL}"
    assert process_of(plan_text(toml)).try_it.startswith("curl -s http://127.0.0.1:8000/v1/")
    other = plan_text(f'[master]\napi_server_module = "my.server"\n{toml}')
    assert process_of(other).try_it == ""


def test_problem_of_a_shared_option_is_told_once() -> None:
    toml = "[instance.server]\nmax_modl_len = 1\n[instance.a.server]\nport=1\n[instance.b.server]\n"
    plan = plan_text(f"{toml}{MODEL}", vllm_version="0.32.0")
    unknown = [each for each in plan.problems if "max_modl_len" in each.message]
    assert len(unknown) == 1


def test_plan_of_an_empty_file_is_empty() -> None:
    plan = plan_text("")
    assert (plan.processes(), plan.skipped, plan.problems) == ((), (), ())
    assert plan.is_startable()


def test_plan_repr_shows_no_environment() -> None:
    plan = plan_text(f"[instance.a.server]\n{MODEL}[instance.a.env]\nX = 'abc'\n")
    assert "abc" not in repr(plan.instances)
