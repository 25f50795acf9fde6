from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest
import tomli

from launcher.cli.kvbm import main
from launcher.cli.main import main as front_door
from launcher.errors import ConfigError, UsageError
from launcher.kvbm.loading import load
from launcher.kvbm.transfer import TRANSFER_KEYS

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

HOST = '{"leader": {"cache": {"host": {"cache_size_gb": 4}}}}'
LOADED = "object.client={type='s3', endpoint_url='http://u:pw@m'}"
Capture = pytest.CaptureFixture[str]


def show(capsys: Capture, *argv: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    assert main(["show", "--format", "json", *argv], env or {}) == 0
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


def flag(capsys: Capture, *argv: str) -> list[str]:
    assert main(["flag", *argv], {}) == 0
    return shlex.split(capsys.readouterr().out)


def test_show_prints_both_roles(capsys: Capture) -> None:
    shown = show(capsys, "--json", HOST)
    assert shown["leader"]["cache"]["host"]["cache_size_gb"] == 4.0
    assert shown["worker"]["cache"]["host"]["cache_size_gb"] is None


def test_show_of_one_role_prints_it_flat(capsys: Capture) -> None:
    shown = show(capsys, "--json", HOST, "--role", "leader")
    assert shown["cache"]["host"]["cache_size_gb"] == 4.0


def test_show_as_toml_loads_to_the_same_values(capsys: Capture, tmp_path: Path) -> None:
    assert main(["show", "--json", HOST], {}) == 0
    file = tmp_path / "shown.toml"
    file.write_text(capsys.readouterr().out)
    environ = {"KVBM_CONFIG_PATH": str(file)}
    for role in ("leader", "worker"):
        assert load(role, environ=environ) == load(role, HOST, environ={})


def test_show_with_origins_names_them(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "kvbm.toml"
    file.write_text("[rayon]\nnum_threads = 1\n")
    env = {"KVBM_TOKIO_MAX_BLOCKING_THREADS": "4"}
    argv = ["--config", str(file), "--json", HOST, "--set", "onboard.mode=intra"]
    origins = show(capsys, *argv, "--origins", "--role", "leader", env=env)["origins"]
    assert origins["rayon.num_threads"] == f"{file}:2:1"
    assert origins["tokio.max_blocking_threads"] == "KVBM_TOKIO_MAX_BLOCKING_THREADS"
    assert origins["cache.host.cache_size_gb"] == "--json: leader.cache.host.cache_size_gb"
    assert origins["onboard.mode"] == "--set onboard.mode"
    assert origins["tokio.worker_threads"] == "default"


def test_show_as_toml_with_origins_remarks_them(capsys: Capture) -> None:
    argv = ["show", "--set", "nixl.backends.GDS.threads='4'", "--origins", "--role", "worker"]
    assert main(argv, {"KVBM_RAYON_NUM_THREADS": "1"}) == 0
    out = capsys.readouterr().out
    assert "num_threads = 1  # KVBM_RAYON_NUM_THREADS" in out
    assert 'GDS = { threads = "4" }  # --set nixl.backends.GDS.threads' in out
    assert tomli.loads(out)["rayon"] == {"num_threads": 1}


def test_show_masks_secrets(capsys: Capture) -> None:
    assert main(["show", "--set", LOADED], {}) == 0
    captured = capsys.readouterr()
    assert "pw" not in captured.out + captured.err
    assert "http://***@m" in captured.out


def test_show_of_a_role_ignores_the_other_ones_errors(capsys: Capture) -> None:
    broken = '{"worker": {"rayon": {"num_threads": 0}}}'
    assert show(capsys, "--json", broken, "--role", "leader")["rayon"] == {"num_threads": None}
    with pytest.raises(ConfigError):
        main(["show", "--json", broken, "--role", "worker"], {})


def test_json_from_a_file_is_read(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "extra.json"
    file.write_text(HOST)
    shown = show(capsys, "--json", f"@{file}", "--role", "leader", "--origins")
    place = shown["origins"]["cache.host.cache_size_gb"]
    assert place == f"{file}: leader.cache.host.cache_size_gb"


def test_json_file_that_is_missing_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        main(["show", "--json", "@/does/not/exist"], {})


def test_config_in_place_of_the_variable_has_to_exist() -> None:
    with pytest.raises(ConfigError) as caught:
        main(["check", "--config", "/does/not/exist"], {"KVBM_CONFIG_PATH": "/nor/this"})
    assert "no such file" in caught.value.problems[0].message


def test_check_without_problems_is_ok(capsys: Capture) -> None:
    assert main(["check", "--json", HOST], {}) == 0
    assert capsys.readouterr().out == "ok: leader and worker\n"


def test_check_with_an_error_is_78(capsys: Capture) -> None:
    assert main(["check", "--json", HOST], {"KVBM_RAYON_NUM_THREADS": "0"}) == 78
    assert "error: KVBM_RAYON_NUM_THREADS: rayon.num_threads: expected" in capsys.readouterr().out


@pytest.mark.parametrize(("argv", "code"), [([], 0), (["--strict"], 78)])
def test_check_of_unknown_names_depends_on_strict(
    capsys: Capture, argv: list[str], code: int
) -> None:
    env = {"KVBM_RAYON_NUM_THREAD": "1"}
    assert main(["check", "--json", HOST, "--set", "tokyo.x=1", *argv], env) == code
    out = capsys.readouterr().out
    assert "did you mean 'KVBM_RAYON_NUM_THREADS'?" in out
    assert "did you mean 'tokio'?" in out


def test_check_counts_the_cpus_that_it_is_told(capsys: Capture) -> None:
    argv = ["check", "--json", HOST, "--set", "tokio.worker_threads=96", "--cpus"]
    assert main([*argv, "96"], {}) == 0
    assert main([*argv, "95"], {}) == 78
    assert "this machine has 95 CPUs" in capsys.readouterr().out


@pytest.mark.parametrize("number", ["0", "-1", "x", "1" * 30])
def test_cpus_that_are_no_number_are_a_usage_error(number: str) -> None:
    with pytest.raises(UsageError):
        main(["check", f"--cpus={number}"], {})


def test_flag_is_quoted_for_pasting(capsys: Capture) -> None:
    option, value = flag(capsys, "--json", HOST)
    assert option == "--kv-transfer-config"
    assert json.loads(value)["kv_connector_extra_config"] == {
        "default": {},
        "leader": {"cache": {"host": {"cache_size_gb": 4}}},
        "worker": {},
    }


def test_flag_formats_differ_in_quotes(capsys: Capture) -> None:
    (value,) = flag(capsys, "--format", "value")
    assert main(["flag", "--format", "json"], {}) == 0
    assert capsys.readouterr().out == f"{value}\n"


def test_flag_takes_every_setting_of_the_connector(capsys: Capture) -> None:
    given: dict[str, object] = {
        "kv_connector": "K",
        "kv_connector_module_path": "k.v",
        "kv_role": "kv_consumer",
        "kv_load_failure_policy": "fail",
        "kv_buffer_device": "cpu",
        "kv_port": 1,
        "engine_id": "12",
        "enable_permute_local_kv": True,
    }
    assert list(given) == [key.name for key in TRANSFER_KEYS]
    words = {name: str(value).lower() if value is True else value for name, value in given.items()}
    argv = [f"--{name.replace('_', '-')}={value}" for name, value in words.items()]
    shown = json.loads(flag(capsys, *argv)[1])
    del shown["kv_connector_extra_config"]
    assert shown == given


@pytest.mark.parametrize("option", ["--kv-role=leader", "--kv-port=x", "--kv-connector="])
def test_flag_with_a_wrong_setting_is_a_usage_error(option: str) -> None:
    with pytest.raises(UsageError, match=option.partition("=")[0]):
        main(["flag", option], {})


def test_flag_masks_secrets_unless_told(capsys: Capture) -> None:
    assert main(["flag", "--set", LOADED], {}) == 0
    captured = capsys.readouterr()
    assert "pw" not in captured.out
    assert "--reveal" in captured.err
    assert "u:pw@m" in flag(capsys, "--set", LOADED, "--reveal")[1]


def test_flag_of_a_broken_configuration_is_refused() -> None:
    with pytest.raises(ConfigError):
        main(["flag", "--set", "rayon.num_threads=0"], {})


def test_front_door_shows_the_error_and_its_place(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "kvbm.toml"
    file.write_text("[rayon]\nnum_threads = 0\n")
    assert front_door(["kvbm", "show", "--config", str(file)], {}) == 78
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"error: {file}:2:15: expected an integer of at least 1, got 0\n"
        "   2 | num_threads = 0\n"
        "     |               ^\n"
        "hint: write 1 or more\n"
    )


@pytest.mark.parametrize("argv", [[], ["shwo"], ["show", "--role", "boss"]])
def test_wrong_command_line_is_a_usage_error(argv: list[str]) -> None:
    with pytest.raises(UsageError):
        main(argv, {})
