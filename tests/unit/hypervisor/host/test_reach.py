from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

import pytest

from launcher.hypervisor.host.reach import find_barrier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHER, OTHERS = 64321, (64321,)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that everybody reaches, for as long as the test takes."""
    with contextlib.ExitStack() as after:
        for each in (tmp_path, *tmp_path.parents):
            mode = stat.S_IMODE(each.stat().st_mode)
            if each.stat().st_uid == os.geteuid() and mode & 0o055 != 0o055:
                after.callback(each.chmod, mode)
                each.chmod(mode | 0o055)
        if find_barrier(str(tmp_path), OTHER, OTHERS):
            pytest.skip("the folder for temporary files is for its owner alone")
        yield tmp_path


def program(path: Path, text: str = "#!/bin/sh\n") -> str:
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o755)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_open_way_has_no_barrier(folder: Path) -> None:
    assert find_barrier(program(folder / "bin/run"), OTHER, OTHERS) == ""


def test_private_folder_is_a_barrier_to_others_only(folder: Path) -> None:
    path = program(folder / "bin/run")
    (folder / "bin").chmod(0o700)
    assert find_barrier(path, OTHER, OTHERS) == f"{folder}/bin"
    assert find_barrier(path, os.geteuid(), ()) == ""
    assert find_barrier(path, 0, ()) == ""


def test_folder_of_ones_group_is_no_barrier(folder: Path) -> None:
    path = program(folder / "bin/run")
    (folder / "bin").chmod(0o710)
    assert find_barrier(path, OTHER, (os.stat(path).st_gid,)) == ""


def test_interpreter_of_a_script_is_looked_at(folder: Path) -> None:
    python = program(folder / "private/python")
    (folder / "private").chmod(0o700)
    assert find_barrier(program(folder / "bin/run", f"#!{python} -I\n"), OTHER, OTHERS) == (
        f"{folder}/private"
    )


def test_way_behind_a_link_is_looked_at(folder: Path) -> None:
    program(folder / "private/python")
    (folder / "private").chmod(0o700)
    (folder / "python").symlink_to("private/python")
    assert find_barrier(f"{folder}/python", OTHER, OTHERS) == f"{folder}/private"


def test_file_that_nobody_may_execute_is_a_barrier(folder: Path) -> None:
    path = program(folder / "bin/run")
    (folder / "bin/run").chmod(0o644)
    assert find_barrier(path, OTHER, OTHERS) == path
