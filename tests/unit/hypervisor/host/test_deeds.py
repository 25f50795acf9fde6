from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.host.deeds import (
    GiveFile,
    Machine,
    MakeFolder,
    give_away,
    plan_folders,
)

if TYPE_CHECKING:
    from pathlib import Path

OURS = (os.geteuid(), os.getegid())


def plan(*paths: Path) -> list[MakeFolder | GiveFile]:
    names = tuple(map(str, paths))
    return plan_folders(names, frozenset(names), *OURS)


def test_missing_folders_are_made_from_the_outermost(tmp_path: Path) -> None:
    deeds = plan(tmp_path / "a/b", tmp_path / "a/b/c")
    assert [deed.path for deed in deeds] == [f"{tmp_path}/{name}" for name in ("a", "a/b", "a/b/c")]


def test_folders_are_private_and_planned_once(tmp_path: Path) -> None:
    for deed in plan(tmp_path / "a/b"):
        deed.perform(Machine())
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert plan(tmp_path / "a/b") == []


def test_open_folder_becomes_private_and_is_given_back(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o755)
    (deed,) = plan(tmp_path / "a")
    deed.perform(Machine())
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    deed.undo(Machine())
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755


def test_open_folder_of_others_stays(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert plan_folders((str(tmp_path),), frozenset(), *OURS) == []


def test_folder_with_something_in_it_stays(tmp_path: Path) -> None:
    (deed,) = plan(tmp_path / "a")
    deed.perform(Machine())
    (tmp_path / "a/file").touch()
    assert deed.undo(Machine()) == ""
    assert (tmp_path / "a/file").exists()


def test_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret").chmod(0o755)
    (tmp_path / "a").symlink_to("secret")
    with pytest.raises(HostError, match="is no folder"):
        plan(tmp_path / "a")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o755


def test_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(HostError, match="is no folder"):
        plan(tmp_path / "a")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_link_of_somebody_else_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "state").symlink_to("disk")
    os.chown(tmp_path / "state", 12345, 12345, follow_symlinks=False)
    with pytest.raises(HostError, match="is no folder"):
        plan(tmp_path / "state")


def test_nothing_is_given_away_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").touch(mode=0o600)
    (tmp_path / "link").symlink_to("secret")
    with pytest.raises(OSError, match="symbolic links"):
        give_away(str(tmp_path / "link"), None, 0o644)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_folder_that_appears_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    (deed,) = plan(tmp_path / "a")
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o755)
    deed.perform(Machine())
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755


def test_folder_that_somebody_has_changed_since_is_not_given_back(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o755)
    (deed,) = plan(tmp_path / "a")
    deed.perform(Machine())
    (tmp_path / "a").chmod(0o750)
    assert deed.undo(Machine()) == ""
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750
