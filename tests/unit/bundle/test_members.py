"""Nothing of a tar leaves its folder."""

from __future__ import annotations

import pytest

from launcher.bundle.errors import BundleError
from launcher.bundle.members import FILE, FOLDER, Member, plan_members


def files(*names: str) -> list[Member]:
    return [Member(name=name, kind=FILE) for name in names]


def test_files_go_where_they_are_named() -> None:
    planned = plan_members(files("./pixi.toml", "channel//noarch/a.conda"))
    assert planned == {
        "./pixi.toml": "pixi.toml",
        "channel//noarch/a.conda": "channel/noarch/a.conda",
    }


def test_folder_around_everything_is_left_out() -> None:
    planned = plan_members(files("app/pixi.toml", "app/channel/noarch/a.conda"))
    assert set(planned.values()) == {"pixi.toml", "channel/noarch/a.conda"}


def test_channel_alone_is_no_folder_around_everything() -> None:
    assert set(plan_members(files("channel/noarch/a")).values()) == {"channel/noarch/a"}


def test_environments_and_repositories_are_left_out() -> None:
    planned = plan_members(files("a", ".pixi/envs/default/bin/python", ".git/config", ".vllmd/1/x"))
    assert planned == {"a": "a"}


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (Member(name="..", kind=FOLDER), "leads out of its folder"),
        (Member(name="a/../b", kind=FILE), "leads out of its folder"),
        (Member(name="/", kind=FOLDER), "is an absolute path"),
        (Member(name="/etc/passwd", kind=FILE), "is an absolute path"),
        (Member(name="", kind=FILE), "is no name for a file"),
        (Member(name="a\x00b", kind=FILE), "is no name for a file"),
        (Member(name="a\udcff", kind=FILE), "is no name for a file"),
        (Member(name="x" * 256, kind=FILE), "is no name for a file"),
        (Member(name="a", kind="a device"), "'a' in the bundle is a device"),
    ],
)
def test_entry_that_would_leave_the_folder_is_refused(member: Member, reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        plan_members([*files("pixi.toml"), member])


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("a", "./a"), "'a' is in the bundle twice"),
        (("a", "a/b"), "'a' is both a file and a folder"),
        (("a/b", "a"), "'a' is both a file and a folder"),
    ],
)
def test_files_in_each_others_way_are_refused(names: tuple[str, ...], reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        plan_members(files(*names))


def test_many_files_take_no_time() -> None:
    names = [f"channel/noarch/package-{number}.conda" for number in range(50_000)]
    assert len(plan_members(files(*names))) == len(names)
