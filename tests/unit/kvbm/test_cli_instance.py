"""`vllmd kvbm show|flag --instance`: what an instance of the launcher's file is told."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from launcher.cli.kvbm import main
from launcher.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]
TEXT = """
[kvbm]
cache.host.num_blocks = 1
[instance.chat.kvbm]
enable = true
kv_connector = "K"
[instance.plain.server]
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "vllm.toml"
    path.write_text(TEXT)
    return str(path)


def test_show_of_an_instance_names_lines_of_the_file(capsys: Capture, file: str) -> None:
    argv = ["show", "--launcher-file", file, "--instance", "chat", "--origins", "--format", "json"]
    assert main([*argv, "--role", "leader", "--set", "kvbm.rayon.num_threads=2"], {}) == 0
    origins = json.loads(capsys.readouterr().out)["origins"]
    assert origins["cache.host.num_blocks"] == f"{file}:3:1"
    assert origins["rayon.num_threads"] == "--set kvbm.rayon.num_threads"


def test_flag_of_an_instance_is_its_option(capsys: Capture, file: str) -> None:
    assert main(["flag", "--instance", "chat"], {"AUTO_INFER_VLLM_CONFIG": file}) == 0
    value = json.loads(shlex.split(capsys.readouterr().out)[1])
    assert value["kv_connector"] == "K"
    assert value["kv_connector_extra_config"]["default"] == {"cache": {"host": {"num_blocks": 1}}}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--instance", "caht"], "there is no instance 'caht'"),
        (["--instance", "plain"], "'plain' does not use KVBM"),
        (["--instance", "chat", "--json", "{}"], "takes all from the launcher's file"),
        (["--instance", "chat", "--kv-port", "1"], "takes all from the launcher's file"),
    ],
)
def test_flag_of_an_instance_that_cannot_be_is_refused(
    file: str, argv: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        main(["flag", "--launcher-file", file, *argv], {})


@pytest.mark.parametrize("verb", ["show", "flag"])
def test_instance_with_an_error_is_refused(file: str, verb: str) -> None:
    argv = [verb, "--launcher-file", file, "--instance", "chat"]
    with pytest.raises(ConfigError):
        main([*argv, "--set", "kvbm.rayon.num_threads=0"], {})


def test_launcher_file_without_an_instance_is_refused(file: str) -> None:
    with pytest.raises(UsageError, match="--instance"):
        main(["show", "--launcher-file", file], {})
