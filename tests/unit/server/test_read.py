from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.config.document import parse_toml
from launcher.config.overrides import parse_overrides
from launcher.config.problems import Origin
from launcher.server.gpus import ALL_GPUS, NoGpus
from launcher.server.read import read_config

if TYPE_CHECKING:
    from launcher.server.model import LauncherConfig

FILE = Origin(kind="file", name="vllm.toml")


def _read(toml: str, overrides: str = "{}") -> LauncherConfig:
    config = read_config((parse_toml(toml, FILE), parse_overrides(overrides)))
    assert config.problems == ()
    return config


def test_master_defaults_are_the_contracts_section_1() -> None:
    master = _read("").master
    assert master.enable is True
    assert (master.pixi_project_dir, master.pixi_environment) == (None, "default")
    assert master.api_server_module == "vllm.entrypoints.openai.api_server"


def test_client_timeout_profile_is_read_or_none() -> None:
    assert _read("").client.timeout_profile is None
    assert _read("[client]\ntimeout_profile = 'batch_job'").client.timeout_profile == "batch_job"


def test_control_defaults_are_the_contracts_sections_2a_and_3a() -> None:
    (instance,) = _read("[instance.demo]").instances
    control = instance.control
    assert (control.log_dir, control.background, control.enabled) == ("/tmp", True, True)  # noqa: S108
    assert (control.log_file, control.gpu_ids) == (None, ALL_GPUS)


def test_instances_are_all_other_keys_section_3() -> None:
    config = _read("[instance.control]\n[instance.server]\n[instance.b]\n[instance.'a.1']")
    assert [instance.name for instance in config.instances] == ["b", "a.1"]


def test_instance_settings_go_over_the_global_ones_section_2() -> None:
    (instance,) = _read(
        "[instance.control]\nbackground = false\nlog_dir = '/a'\n"
        "[instance.server]\nhost = 'h'\nport = 1\n"
        "[instance.demo.control]\nlog_dir = '/b'\ngpu_ids = 'none'\n"
        "[instance.demo.server]\nport = 2\n"
    ).instances
    control = instance.control
    assert (control.background, control.log_dir, control.gpu_ids) == (False, "/b", NoGpus())
    assert [(o.name, o.value) for o in instance.options] == [("host", "h"), ("port", 2)]


def test_instance_paths_say_where_each_setting_stands() -> None:
    toml = "[instance.control]\nlog_dir = '/a'\n[instance.server]\nport = 1\n[instance.demo]"
    (instance,) = _read(toml).instances
    assert instance.control_path("log_dir") == ("instance", "control", "log_dir")
    assert instance.control_path("enabled") == ("instance", "demo")
    option = instance.option("port")
    assert option is not None
    assert option.path == ("instance", "server", "port")


def test_extra_args_global_ones_come_first() -> None:
    toml = "[instance.server]\nextra_args = ['--a']\n[instance.demo.server]\nextra_args = ['--b']"
    (instance,) = _read(toml).instances
    assert (instance.extra_args, instance.options) == (("--a", "--b"), ())


def test_overrides_merge_deeply_contract_overrides() -> None:
    toml = "[instance.demo.server]\nport = 1\n[instance.demo.server.c]\nx = 1\ny = 1"
    overrides = '{"instance": {"demo": {"server": {"c": {"x": 2, "y": null}}}}}'
    (instance,) = _read(toml, overrides).instances
    assert {o.name: o.value for o in instance.options} == {"port": 1, "c": {"x": 2}}


def test_env_values_are_strings() -> None:
    config = _read("[master.env]\nA = 'x'\nB = 1\n[instance.demo.env]\nC = 0.5\n")
    assert [(s.name, s.value) for s in config.master.env] == [("A", "x"), ("B", "1")]
    assert [(s.name, s.value) for s in config.instances[0].env] == [("C", "0.5")]


def test_repr_of_options_and_variables_shows_no_value() -> None:
    toml = "[instance.demo.server]\napi_key = 'sk-4f1d'\n[instance.demo.env]\nHF_TOKEN = 'sk-4f1d'"
    assert "sk-4f1d" not in repr(_read(toml).instances)


def test_read_config_reports_all_problems_at_once() -> None:
    toml = "[master]\nenabel = 1\n[instance.demo.control]\nenabled = 'x'\nlog_keep = true"
    assert len(read_config((parse_toml(toml, FILE),)).problems) == 3
