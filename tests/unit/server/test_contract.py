"""The contract, sentence by sentence: each test names the section that it checks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from launcher.cli.launch import make_plan
from launcher.cli.sources import find_config
from launcher.server.facts import PixiFacts
from tests.support.facts import (
    MODEL,
    PYTHON,
    VLLM,
    env_of,
    flags_of,
    messages_of,
    plan_text,
    process_of,
    read_text,
    said,
)

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.process.spec import ProcessSpec
    from launcher.server.plan import LaunchPlan

CONFIG = "AUTO_INFER_VLLM_CONFIG"
OVERRIDES = "AUTO_INFER_VLLM_OVERRIDES"
OTHER = '[master]\napi_server_module = "my.server"\n'  # not vLLM's: the contract's rules alone
PIXI = PixiFacts(
    program="/usr/bin/pixi",
    python="/app/.pixi/envs/default/bin/python",
    has_python=True,
    has_manifest=True,
)


def one(control: str = "", server: str = "", master: str = "") -> LaunchPlan:
    """Plan one instance 'a'."""
    toml = f"{master}[instance.a.control]\n{control}\n[instance.a.server]\n{MODEL}{server}\n"
    plan = plan_text(toml)
    assert plan.problems == (), said(plan)
    return plan


def process(control: str = "", server: str = "") -> ProcessSpec:
    return process_of(one(control, server))


def words(server: str, master: str = "") -> list[str]:
    """Return the words that one instance gets behind its model."""
    return flags_of(one(server=server, master=master))[2:]


# Purpose


def test_purpose_one_or_more_servers_are_launched() -> None:
    """The contract, purpose: a file launches one or more API servers."""
    plan = plan_text(f"[instance.a.server]\n{MODEL}port=1\n[instance.b.server]\n{MODEL}port=2\n")
    assert [each.name for each in plan.processes()] == ["a", "b"]
    assert {each.argv[:3] for each in plan.processes()} == {(PYTHON, "-m", VLLM)}


# File Location


def test_file_location_variable_names_the_file() -> None:
    """The contract, file location: the variable specifies the path."""
    assert find_config(None, {CONFIG: "/etc/vllm.toml"}) == "/etc/vllm.toml"


def test_file_location_argument_wins_over_the_variable() -> None:
    """The contract, file location; an argument is our addition and comes first."""
    assert find_config("mine.toml", {CONFIG: "/etc/vllm.toml"}) == "mine.toml"


def test_file_location_file_of_the_variable_is_read(tmp_path: Path) -> None:
    """The contract, file location."""
    path = tmp_path / "any-name"
    path.write_text(f"[instance.a.server]\n{MODEL}")
    plan = make_plan(None, (), {CONFIG: str(path)})
    assert [each.name for each in plan.processes()] == ["a"]


def test_file_location_paths_are_taken_as_they_are() -> None:
    """The contract, file location: all paths are paths inside the container."""
    plan = plan_text(
        '[master]\npixi_project_dir = "/app/project"\n'
        '[instance.control]\nlog_dir = "/srv/logs"\n'
        '[instance.a.server]\nmodel = "/models/m"\nport = 1\n'
        '[instance.b.control]\nlog_file = "/srv/own.log"\n'
        '[instance.b.server]\nmodel = "/models/n"\nport = 2\n',
        pixi=PIXI,
    )
    assert "/app/project" in process_of(plan).argv
    assert flags_of(plan)[:2] == ["--model", "/models/m"]
    logs = [each.log.path for each in plan.processes() if each.log]
    assert logs == ["/srv/logs/vllm-server-a.log", "/srv/own.log"]


# Overrides


def override(toml: str, overrides: object) -> LaunchPlan:
    return plan_text(toml, json.dumps(overrides))


def test_overrides_are_merged_deeply() -> None:
    """The contract, overrides: what they do not name stays."""
    toml = f"[instance.a.server]\n{MODEL}port = 8000\nmax_model_len = 10\n"
    plan = override(toml, {"instance": {"a": {"server": {"max_model_len": 20}}}})
    assert flags_of(plan)[2:] == ["--port", "8000", "--max-model-len", "20"]


def test_overrides_reach_into_json_options() -> None:
    """The contract, overrides: deep means every depth."""
    toml = f"[instance.a.server]\n{MODEL}hf_overrides = {{ a = {{ b = 1, c = 2 }} }}\n"
    plan = override(toml, {"instance": {"a": {"server": {"hf_overrides": {"a": {"c": 3}}}}}})
    assert flags_of(plan)[2:] == ["--hf-overrides", '{"a":{"b":1,"c":3}}']


def test_overrides_replace_lists() -> None:
    """The contract, overrides: a list is one value."""
    toml = f'[instance.a.server]\n{MODEL}served_model_name = ["x", "y"]\n'
    plan = override(toml, {"instance": {"a": {"server": {"served_model_name": ["z"]}}}})
    assert flags_of(plan)[2:] == ["--served-model-name", "z"]


def test_overrides_null_removes_a_key() -> None:
    """The contract, overrides; null as in RFC 7396."""
    toml = f"[instance.a.server]\n{MODEL}port = 8001\n"
    plan = override(toml, {"instance": {"a": {"server": {"port": None}}}})
    assert flags_of(plan)[2:] == []


def test_overrides_add_an_instance_and_switch_one_off() -> None:
    """The contract, overrides: tweaks for one run."""
    instances = {"a": {"control": {"enabled": False}}, "b": {"server": {"model": "org/b"}}}
    plan = override(f"[instance.a.server]\n{MODEL}", {"instance": instances})
    assert [each.name for each in plan.processes()] == ["b"]
    assert plan.skipped == (("a", "control.enabled is false"),)


def test_overrides_leave_the_file_alone(tmp_path: Path) -> None:
    """The contract, overrides: without editing the TOML file."""
    path = tmp_path / "vllm.toml"
    path.write_text(f"[instance.a.server]\n{MODEL}")
    before = path.read_bytes()
    environ = {OVERRIDES: '{"instance": {"a": {"server": {"port": 9}}}}'}
    plan = make_plan(str(path), (), environ)
    assert plan.instances[0].address.port == 9
    assert path.read_bytes() == before


def test_overrides_that_are_empty_are_none(tmp_path: Path) -> None:
    """The contract, overrides: "if set"; an empty variable is not."""
    path = tmp_path / "vllm.toml"
    path.write_text(f"[instance.a.server]\n{MODEL}")
    assert make_plan(str(path), (), {OVERRIDES: " "}).config.tree.documents[1:] == ()


# 1. Master Configuration


def test_master_defaults_are_the_contracts() -> None:
    """The contract, section 1: every key with its default."""
    master = read_text("").master
    assert master.enable is True
    assert master.pixi_project_dir is None
    assert master.pixi_environment == "default"
    assert master.api_server_module == VLLM


def test_master_enable_false_launches_nothing() -> None:
    """The contract, section 1, enable."""
    plan = plan_text(f"[master]\nenable = false\n[instance.a.server]\n{MODEL}")
    assert plan.processes() == ()
    assert plan.skipped == (("a", "master.enable is false"),)


def test_master_pixi_project_dir_launches_by_pixi() -> None:
    """The contract, section 1, pixi_project_dir and pixi_environment (default)."""
    toml = f'[master]\npixi_project_dir = "/app"\n[instance.a.server]\n{MODEL}'
    plan = plan_text(toml, pixi=PIXI)
    assert process_of(plan).argv == (
        "/usr/bin/pixi", "run", "--as-is",
        "--manifest-path", "/app",
        "--environment", "default",
        "python", "-m", VLLM,
        "--model", "org/model",
    )  # fmt: skip


def test_master_pixi_environment_is_named() -> None:
    """The contract, section 1, pixi_environment."""
    master = '[master]\npixi_project_dir = "/app"\npixi_environment = "cuda"\n'
    argv = process_of(plan_text(f"{master}[instance.a.server]\n{MODEL}", pixi=PIXI)).argv
    assert argv[argv.index("--environment") + 1] == "cuda"


def test_master_api_server_module_is_run() -> None:
    """The contract, section 1, api_server_module."""
    plan = one(master=OTHER)
    assert process_of(plan).argv[:3] == (PYTHON, "-m", "my.server")


# 2. Global Defaults


def test_global_control_defaults_are_the_contracts() -> None:
    """The contract, section 2a: log_dir /tmp, background true."""
    control = read_text("[instance.a]\n").instances[0].control
    assert control.log_dir == "/tmp"  # noqa: S108
    assert control.background is True


def test_global_log_dir_holds_a_log_for_each_instance() -> None:
    """The contract, section 2a, log_dir."""
    plan = plan_text(
        '[instance.control]\nlog_dir = "/var/log/vllm"\n'
        f"[instance.a.server]\n{MODEL}port=1\n[instance.b.server]\n{MODEL}port=2\n"
    )
    assert [each.log.path for each in plan.processes() if each.log] == [
        "/var/log/vllm/vllm-server-a.log",
        "/var/log/vllm/vllm-server-b.log",
    ]


def test_global_background_holds_for_all_instances() -> None:
    """The contract, section 2a, background."""
    toml = f"[instance.control]\nbackground = false\n[instance.a.server]\n{MODEL}"
    assert process_of(plan_text(toml)).foreground


def test_global_server_options_are_shared() -> None:
    """The contract, section 2b: common arguments of all instances."""
    plan = plan_text(
        '[instance.server]\nhost = "0.0.0.0"\ngpu_memory_utilization = 0.4\n'
        "max_model_len = 4096\ntrust_remote_code = true\n"
        f"[instance.a.server]\n{MODEL}port = 1\n[instance.b.server]\n{MODEL}port = 2\n"
    )
    shared = [
        "--host", "0.0.0.0",  # noqa: S104
        "--gpu-memory-utilization", "0.4",
        "--max-model-len", "4096",
        "--trust-remote-code",
    ]  # fmt: skip
    assert flags_of(plan, "a") == [*shared, "--model", "org/model", "--port", "1"]
    assert flags_of(plan, "b") == [*shared, "--model", "org/model", "--port", "2"]


# 3. Model Instances


def test_instances_are_all_keys_but_control_and_server() -> None:
    """The contract, section 3."""
    config = read_text("[instance.control]\n[instance.server]\n[instance.x]\n[instance.y-1]\n")
    assert config.problems == ()
    assert [each.name for each in config.instances] == ["x", "y-1"]


def test_instance_settings_win_over_global_ones() -> None:
    """The contract, structure: global defaults and per-instance overrides."""
    plan = plan_text(
        "[instance.server]\nmax_model_len = 1\ndtype = 'auto'\n"
        f"[instance.a.server]\n{MODEL}max_model_len = 2\n"
    )
    assert flags_of(plan) == [
        "--max-model-len", "2", "--dtype", "auto", "--model", "org/model",
    ]  # fmt: skip


# 3a. Instance Launcher Settings


def test_control_enabled_is_true_by_default() -> None:
    """The contract, section 3a, enabled."""
    assert read_text("[instance.a]\n").instances[0].control.enabled is True


def test_control_enabled_false_skips_the_instance() -> None:
    """The contract, section 3a, enabled."""
    plan = plan_text("[instance.a.control]\nenabled = false\n")
    assert plan.processes() == ()
    assert plan.skipped == (("a", "control.enabled is false"),)


@pytest.mark.parametrize("value", [True, False])
def test_control_background_overrides_the_global_one(value: bool) -> None:
    """The contract, section 3a, background."""
    wanted, other = str(value).lower(), str(not value).lower()
    toml = f"[instance.control]\nbackground={other}\n[instance.a.control]\nbackground={wanted}\n"
    assert process_of(plan_text(f"{toml}[instance.a.server]\n{MODEL}")).foreground is not value


def test_control_log_file_overrides_log_dir() -> None:
    """The contract, section 3a, log_file."""
    log = process('log_dir = "/a"\nlog_file = "/b/c.log"').log
    assert log is not None
    assert log.path == "/b/c.log"


@pytest.mark.parametrize("control", ["", 'gpu_ids = "all"'])
def test_control_gpu_ids_all_or_omitted_leaves_the_default(control: str) -> None:
    """The contract, section 3a, gpu_ids all."""
    assert "CUDA_VISIBLE_DEVICES" not in env_of(one(control))
    assert "CUDA_VISIBLE_DEVICES" not in process(control).unset


def test_control_gpu_ids_none_shows_no_gpu() -> None:
    """The contract, section 3a, gpu_ids none."""
    assert env_of(one('gpu_ids = "none"'))["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("value", "devices"),
    [
        ('"0"', "0"),
        ('"0,1"', "0,1"),
        ('"3,1,2"', "3,1,2"),
        ('" 0 , 1 "', "0,1"),
        ("2", "2"),
        ("[0, 1]", "0,1"),
        ('"GPU-8932f937-d72c"', "GPU-8932f937-d72c"),
    ],
)
def test_control_gpu_ids_list_shows_those_gpus(value: str, devices: str) -> None:
    """The contract, section 3a, gpu_ids "0,1,..."; integers and lists are our addition."""
    assert env_of(one(f"gpu_ids = {value}"))["CUDA_VISIBLE_DEVICES"] == devices


# 3b. Instance vLLM Arguments. The same rows hold with vLLM's options known and without.

FLAG_ROWS = {
    "underscores become hyphens": ("max_model_len = 8", ["--max-model-len", "8"]),
    "hyphens stay": ("max-model-len = 8", ["--max-model-len", "8"]),
    "string": ('served_model_name = "m"', ["--served-model-name", "m"]),
    "empty string": ('served_model_name = ""', ["--served-model-name", ""]),
    "string with spaces": ('chat_template = "a b"', ["--chat-template", "a b"]),
    "string like a flag": ('chat_template = "-x"', ["--chat-template=-x"]),
    "integer": ("port = 8001", ["--port", "8001"]),
    "negative integer": ("seed = -1", ["--seed=-1"]),
    "float": ("gpu_memory_utilization = 0.5", ["--gpu-memory-utilization", "0.5"]),
    "whole float": ("gpu_memory_utilization = 1.0", ["--gpu-memory-utilization", "1.0"]),
    "true": ("trust_remote_code = true", ["--trust-remote-code"]),
    "false": ("trust_remote_code = false", []),
    "list of one": ('served_model_name = ["m"]', ["--served-model-name", "m"]),
    "empty list": ("served_model_name = []", []),
    "list repeats the flag": (
        'middleware = ["a.B", "c.D"]',
        ["--middleware", "a.B", "--middleware", "c.D"],
    ),
    "table becomes compact JSON": (
        'speculative_config = { method = "ngram", num_speculative_tokens = 4, x = [true, 0.5] }',
        ["--speculative-config", '{"method":"ngram","num_speculative_tokens":4,"x":[true,0.5]}'],
    ),
    "table keeps characters": ('hf_overrides = { a = "é" }', ["--hf-overrides", '{"a":"é"}']),
    "extra_args come last, as they are": (
        'extra_args = ["--seed", "1", "--kv_events_config", "{}"]\nport = 8001',
        ["--port", "8001", "--seed", "1", "--kv_events_config", "{}"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", FLAG_ROWS)
def test_flags_with_vllms_options_known(row: str) -> None:
    """The contract, section 3b, for vLLM 0.32.0."""
    server, wanted = FLAG_ROWS[row]
    assert words(server) == wanted


@pytest.mark.parametrize("row", FLAG_ROWS)
def test_flags_of_a_server_that_is_not_vllms(row: str) -> None:
    """The contract, section 3b, without knowledge of options."""
    server, wanted = FLAG_ROWS[row]
    assert words(server, OTHER) == wanted


KNOWN_ROWS = {
    "false that omission would not mean": (
        "enable_prefix_caching = false",
        ["--no-enable-prefix-caching"],
        [],
    ),
    "false where vLLM would decide itself": ("enable_lora = false", ["--no-enable-lora"], []),
    "false that omission means": ("enforce_eager = false", [], []),
    "several values after one flag": (
        'served_model_name = ["a", "b"]',
        ["--served-model-name", "a", "b"],
        ["--served-model-name", "a", "--served-model-name", "b"],
    ),
    "tables after one flag": (
        'lora_modules = [{ name = "x", path = "/x" }, { name = "y", path = "/y" }]',
        ["--lora-modules", '{"name":"x","path":"/x"}', '{"name":"y","path":"/y"}'],
        [
            "--lora-modules", '{"name":"x","path":"/x"}',
            "--lora-modules", '{"name":"y","path":"/y"}',
        ],
    ),
    "list for an option that takes JSON": (
        'allowed_origins = ["a", "b"]',
        ["--allowed-origins", '["a","b"]'],
        ["--allowed-origins", "a", "--allowed-origins", "b"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", KNOWN_ROWS)
def test_flags_whose_meaning_needs_the_options(row: str) -> None:
    """The contract, section 3b, where its letter would not mean to vLLM what the user wrote."""
    server, known, unknown = KNOWN_ROWS[row]
    assert words(server) == known
    assert words(server, OTHER) == unknown


def test_flags_keep_the_order_of_the_merged_table() -> None:
    """The contract, section 3b: global keys first, then the instance's own."""
    plan = plan_text(
        f"[instance.server]\nseed = 1\ndtype = 'auto'\n[instance.a.server]\n{MODEL}port = 1\n"
    )
    names = [word for word in flags_of(plan) if word.startswith("--")]
    assert names == ["--seed", "--dtype", "--model", "--port"]


def test_extra_args_of_both_tables_add_up() -> None:
    """The contract, section 3b, extra_args: the global ones first."""
    plan = plan_text(
        '[instance.server]\nextra_args = ["--seed", "1"]\n'
        f'[instance.a.server]\n{MODEL}extra_args = ["--max-num-seqs", "8"]\n'
    )
    assert flags_of(plan)[2:] == ["--seed", "1", "--max-num-seqs", "8"]


# Notes on vLLM flags


def test_model_that_is_not_there_is_refused() -> None:
    """The contract, notes: the model must be visible inside the container."""
    toml = '[instance.a.server]\nmodel = "/models/m"\n'
    plan = plan_text(toml, missing_models={"/models/m": "does not exist"})
    assert messages_of(plan) == [
        (
            "error",
            "the model '/models/m' does not exist",
            "mount it at that path, or correct the path",
        )
    ]


def test_multimodal_options_of_the_notes_are_passed() -> None:
    """The contract, notes: Qwen2-VL."""
    assert words("trust_remote_code = true\nenable_mm_embeds = true") == [
        "--trust-remote-code",
        "--enable-mm-embeds",
    ]
