"""What `gather` sees on real folders: interpreters, models, logs, secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from launcher.facts import find_default_version, find_program, gather, log_fault, model_fault
from launcher.record import replace
from launcher.server.facts import Facts, PixiFacts, Questions
from tests.support.commands import ROOT, obey_permissions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUESTIONS = Questions(
    module="vllm.entrypoints.openai.api_server",
    python=None,
    pixi_project_dir=None,
    pixi_environment="default",
    model_dirs=(),
    log_files=(),
    secret_files=(),
)
OWN = "/own/python"


def make_program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    return str(path)


def make_prefix(folder: Path, version: str = "", name: str = "python3") -> str:
    """Make a prefix with an interpreter, and vLLM's metadata if a version is given."""
    site = folder / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    if version:
        (site / f"vllm-{version}.dist-info").mkdir()
    return make_program(folder / "bin" / name)


def look(path: str = "", **questions: object) -> Facts:
    return gather(replace(QUESTIONS, **questions), {"PATH": path, "HOME": "/nowhere"}, OWN)


# The interpreter


def test_python_first_on_path_with_vllm_is_taken(tmp_path: Path) -> None:
    make_prefix(tmp_path / "bare")
    wanted = make_prefix(tmp_path / "good", "0.32.0")
    make_prefix(tmp_path / "later", "0.11.0")
    facts = look(f"{tmp_path}/bare/bin:{tmp_path}/good/bin:{tmp_path}/later/bin")
    assert (facts.python.path, facts.vllm_version) == (wanted, "0.32.0")
    assert facts.catalogue is not None
    assert facts.catalogue.version == "0.32.0"


def test_python_by_its_other_name_is_taken(tmp_path: Path) -> None:
    wanted = make_prefix(tmp_path, "0.32.0", name="python")
    assert look(f"{tmp_path}/bin").python.path == wanted


def test_python_without_vllm_anywhere_says_where_was_looked(tmp_path: Path) -> None:
    bare = make_prefix(tmp_path / "bare")
    python = look(f"{tmp_path}/bare/bin:{tmp_path}/missing").python
    assert (python.path, python.looked_at) == (None, (bare, OWN))


@pytest.mark.parametrize("entry", ["", ".", "relative/bin"])
def test_python_in_a_relative_folder_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    make_prefix(tmp_path / "relative", "0.32.0")
    make_program(tmp_path / "python3")
    monkeypatch.chdir(tmp_path)
    assert look(entry).python.looked_at == (OWN,)


def test_python_that_cannot_be_executed_is_not_taken(tmp_path: Path) -> None:
    python = make_prefix(tmp_path, "0.32.0")
    os.chmod(python, 0o644)
    assert look(f"{tmp_path}/bin").python.path is None


def test_python_of_the_configuration_is_taken_without_question(tmp_path: Path) -> None:
    bare = make_prefix(tmp_path / "bare")
    make_prefix(tmp_path / "good", "0.32.0")
    facts = look(f"{tmp_path}/good/bin", python=bare)
    assert (facts.python.path, facts.vllm_version) == (bare, None)


def test_python_of_the_configuration_by_name_is_found_on_path(tmp_path: Path) -> None:
    wanted = make_prefix(tmp_path, "0.32.0", name="python3.11")
    assert look(f"{tmp_path}/bin", python="python3.11").python.path == wanted


def test_python_of_the_configuration_that_is_missing_is_none() -> None:
    assert look(python="/no/python").python.path is None


def test_python_for_another_module_is_the_shells_choice(tmp_path: Path) -> None:
    first = make_prefix(tmp_path / "bare")
    make_prefix(tmp_path / "good", "0.32.0")
    facts = look(f"{tmp_path}/bare/bin:{tmp_path}/good/bin", module="my.server")
    assert (facts.python.path, facts.catalogue) == (first, None)


def test_version_that_is_given_is_taken_for_the_installed_one(tmp_path: Path) -> None:
    make_prefix(tmp_path, "0.32.0")
    facts = gather(QUESTIONS, {"PATH": f"{tmp_path}/bin"}, OWN, "0.20.0")
    assert facts.vllm_version == "0.20.0"


def test_default_version_is_that_of_the_first_python_with_vllm(tmp_path: Path) -> None:
    make_prefix(tmp_path, "0.32.0")
    assert find_default_version({"PATH": f"{tmp_path}/bin", "HOME": "/nowhere"}, OWN) == "0.32.0"
    assert find_default_version({"PATH": "", "HOME": "/nowhere"}, OWN) == ""


@pytest.mark.parametrize("name", ["bin/tool", "tool"])
def test_program_is_found_as_a_shell_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    wanted = make_program(tmp_path / "bin/tool")
    monkeypatch.chdir(tmp_path)
    assert find_program(name, {"PATH": f"/nowhere:{tmp_path}/bin"}) == wanted


def test_program_that_is_a_folder_is_none(tmp_path: Path) -> None:
    (tmp_path / "tool").mkdir()
    assert find_program("tool", {"PATH": str(tmp_path)}) is None
    assert find_program(str(tmp_path / "tool"), {}) is None


# Pixi


def test_pixi_project_that_is_whole_is_seen(tmp_path: Path) -> None:
    pixi = make_program(tmp_path / "tools/pixi")
    python = make_prefix(tmp_path / "app/.pixi/envs/cuda", "0.32.0", name="python")
    (tmp_path / "app/pixi.toml").touch()
    facts = look(f"{tmp_path}/tools", pixi_project_dir=f"{tmp_path}/app/", pixi_environment="cuda")
    assert facts.pixi == PixiFacts(
        program=pixi,
        python=python,
        has_python=True,
        has_manifest=True,
        vllm_version="0.32.0",
        distribution="vllm",
        site=str(tmp_path / "app/.pixi/envs/cuda/lib/python3.11/site-packages"),
    )
    assert facts.vllm_version == "0.32.0"


def test_pixi_project_that_is_missing_is_seen(tmp_path: Path) -> None:
    facts = look(pixi_project_dir=str(tmp_path))
    assert facts.pixi is not None
    assert (facts.pixi.program, facts.pixi.has_python, facts.pixi.has_manifest) == (
        None, False, False,
    )  # fmt: skip


# Models


def test_model_folder_that_is_there_is_fine(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    assert model_fault(str(tmp_path)) is None
    assert model_fault(str(tmp_path / "config.json")) is None
    assert look(model_dirs=(str(tmp_path),)).missing_models == {}


def test_model_that_is_missing_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "model")
    assert look(model_dirs=(path, path)).missing_models == {path: "does not exist"}


def test_model_folder_that_is_empty_is_told(tmp_path: Path) -> None:
    """Docker makes one where the folder to be mounted does not exist."""
    assert model_fault(str(tmp_path)) == "is an empty folder"


def test_model_below_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert model_fault(str(tmp_path / "file/m")) == "is inside something that is not a folder"
    assert model_fault("/" + "x" * 300) == "cannot be looked at: file name too long"


def test_model_that_is_a_dangling_link_is_told(tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to("nowhere")
    assert model_fault(str(tmp_path / "model")) == "does not exist"


def test_model_below_a_home_is_told() -> None:
    assert model_fault("~/model") == "begins with '~', which vLLM does not expand"


# Logs


def make_link(path: Path) -> None:
    path.symlink_to("elsewhere")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


LOGS: dict[str, tuple[Callable[[Path], object] | None, str | None]] = {
    "missing": (None, None),
    "a file": (lambda path: path.touch(), None),
    "a link": (make_link, "is a symbolic link"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "a pipe": (make_pipe, "is not a regular file"),
}


@pytest.mark.parametrize("case", LOGS)
def test_log_path_state_is_told(tmp_path: Path, case: str) -> None:
    make, fault = LOGS[case]
    path = tmp_path / "a.log"
    if make:
        make(path)
    assert log_fault(str(path)) == fault


def test_log_in_a_folder_to_be_made_is_fine(tmp_path: Path) -> None:
    assert log_fault(str(tmp_path / "x/y/a.log")) is None
    assert os.listdir(tmp_path) == []


def test_log_in_a_linked_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert log_fault(str(tmp_path / "link/a.log")) is None


def test_log_below_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert log_fault(str(tmp_path / "file/a.log")) == "is inside something that is not a folder"
    (tmp_path / "dangling").symlink_to("nowhere")
    fault = f"cannot be made: '{tmp_path}/dangling' is not a folder"
    assert log_fault(str(tmp_path / "dangling/a.log")) == fault


def test_log_with_a_name_too_long_is_told(tmp_path: Path) -> None:
    fault = "cannot be looked at: file name too long"
    assert log_fault(str(tmp_path / ("x" * 300))) == fault


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_log_of_another_user_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.touch()
    os.chown(path, 65534, 65534)
    assert log_fault(str(path)) == "belongs to another user (uid 65534)"


def humbly(call: str, path: Path) -> str:
    """Call a function of `launcher.facts` where permissions hold, also for root."""
    program = f"import sys; from launcher.facts import *; print({call}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={"PYTHONPATH": ROOT}, preexec_fn=obey_permissions,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize("mode", [0, 0o444, 0o111])
def test_model_that_cannot_be_read_is_told(tmp_path: Path, mode: int) -> None:
    (tmp_path / "model").mkdir(mode=mode)
    assert humbly("model_fault", tmp_path / "model") == "cannot be read by this user"


def test_model_in_a_folder_that_cannot_be_entered_is_told(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir(mode=0)
    fault = "is in a folder that this user cannot enter"
    assert humbly("model_fault", tmp_path / "model/inner") == fault


def test_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.touch(mode=0o444)
    assert humbly("log_fault", path) == "cannot be written by this user"


def test_log_in_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o555)
    fault = f"cannot be made: '{tmp_path}/logs' cannot be written by this user"
    assert humbly("log_fault", tmp_path / "logs/inner/a.log") == fault


def test_log_in_a_folder_that_cannot_be_entered_is_told(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o666)
    fault = "is in a folder that this user cannot enter"
    assert humbly("log_fault", tmp_path / "logs/a.log") == fault


# Secrets

CONTENTS = {
    "a line": (b"sesame\n", "sesame", None),
    "no line end": (b"sesame", "sesame", None),
    "a line of DOS": (b"sesame\r\n", "sesame", None),
    "spaces": (b" ses ame \n", " ses ame ", None),
    "empty": (b"", "", "is empty"),
    "only a line end": (b"\n\n", "", "is empty"),
    "no text": (b"\xff\xfe", None, "is not text"),
    "a NUL": (b"a\0b", "a\0b", "is not text"),
    "too long": (
        b"x" * 70_000,
        None,
        "is longer than 65536 characters, too long for a secret",
    ),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_secret_file_is_read_without_its_line_end(tmp_path: Path, case: str) -> None:
    content, secret, fault = CONTENTS[case]
    path = tmp_path / "secret"
    path.write_bytes(content)
    facts = look(secret_files=(str(path),))
    assert facts.secret_faults.get(str(path)) == fault
    if secret is not None:
        assert facts.secrets[str(path)] == secret


def test_secret_file_that_is_missing_or_a_folder_is_told(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    facts = look(secret_files=(missing, str(tmp_path)))
    assert facts.secret_faults == {
        missing: "cannot be read: no such file or directory",
        str(tmp_path): "cannot be read: is a directory",
    }


def test_facts_repr_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sesame")
    assert repr(look(secret_files=(str(tmp_path / "secret"),))) == "Facts(...)"
