"""The contract, sentence by sentence: each test names the section that it checks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from launcher.cli.launch import make_plan
from launcher.cli.sources import find_config
from launcher.server.facts import PixiFacts
from tests.support.contract import OTHER, one
from tests.support.facts import (
    MODEL,
    PYTHON,
    VLLM,
    flags_of,
    plan_text,
    process_of,
    read_text,
)

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.server.plan import LaunchPlan

CONFIG = "AUTO_INFER_VLLM_CONFIG"
OVERRIDES = "AUTO_INFER_VLLM_OVERRIDES"
PIXI = PixiFacts(
    program="/usr/bin/pixi",
    python="/app/.pixi/envs/default/bin/python",
    has_python=True,
    has_manifest=True,
)


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
