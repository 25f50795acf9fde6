from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from launcher.demo.content import render_demo_model
from launcher.demo.writer import write_demo_model
from launcher.errors import HostError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = tuple(render_demo_model())


def test_write_into_a_new_directory_writes_all_files(tmp_path: Path) -> None:
    target = tmp_path / "models" / "demo"
    assert write_demo_model(str(target)) == NAMES
    assert {path.name: path.read_bytes() for path in target.iterdir()} == render_demo_model()


def test_write_makes_files_that_others_can_read(tmp_path: Path) -> None:
    write_demo_model(str(tmp_path))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


def test_write_a_second_time_writes_nothing(tmp_path: Path) -> None:
    write_demo_model(str(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert write_demo_model(str(tmp_path)) == ()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_write_after_an_interruption_adds_what_is_missing(tmp_path: Path) -> None:
    write_demo_model(str(tmp_path))
    (tmp_path / "config.json").unlink()
    (tmp_path / ".config.json.leftover").write_text("{")
    assert write_demo_model(str(tmp_path)) == ("config.json",)


@pytest.mark.parametrize("name", ["config.json", "model-00001-of-00002.safetensors", "notes.txt"])
def test_write_over_foreign_file_is_refused_and_changes_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(UsageError) as caught:
        write_demo_model(str(tmp_path))
    assert caught.value.message == f"'{tmp_path / name}' is not part of the demo model"
    assert caught.value.hint == "name a directory that is empty or does not exist yet"
    assert os.listdir(tmp_path) == [name]


def test_write_over_changed_weights_of_same_size_is_refused(tmp_path: Path) -> None:
    write_demo_model(str(tmp_path))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(bytes(weights.stat().st_size))
    with pytest.raises(UsageError, match="not part of the demo model"):
        write_demo_model(str(tmp_path))


def test_write_where_a_pipe_has_our_name_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(UsageError, match="not part of the demo model"):
        write_demo_model(str(tmp_path))


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_write_to_a_file_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is not a directory"):
        write_demo_model(f"{tmp_path}/file{below}")
    assert (tmp_path / "file").read_text() == "mine"


def test_write_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError, match="has no name"):
        write_demo_model("")


def test_write_where_the_system_refuses_is_a_host_error() -> None:
    """Nobody, root included, can make a directory in /proc."""
    with pytest.raises(HostError) as caught:
        write_demo_model("/proc/vllmd-demo")
    assert caught.value.message.startswith("cannot write the demo model to '/proc/vllmd-demo': no ")
    assert caught.value.hint == "name a directory that you may write to"
