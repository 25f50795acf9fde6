from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from launcher.config.reader import Refusal
from launcher.errors import HostError
from launcher.hypervisor.guest.baseimage import base_image_path, copy_image, own_image_path

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ubuntu 22.04", "/s/images/jammy-server-cloudimg-amd64.img"),
        (" ubuntu   22.04 ", "/s/images/jammy-server-cloudimg-amd64.img"),
        ("Debian 12", "/s/images/debian-12-genericcloud-amd64.qcow2"),
        ("/srv/base.img", "/srv/base.img"),
        ("/srv/Ubuntu 22.04", "/srv/Ubuntu 22.04"),
    ],
)
def test_base_image_is_a_path_or_a_known_name(text: str, expected: str) -> None:
    assert base_image_path(text, "/s", "x86_64") == expected


def test_base_image_is_that_of_the_architecture() -> None:
    assert base_image_path("Debian 13", "/s", "aarch64").endswith("-arm64.qcow2")


def test_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(Refusal) as caught:
        base_image_path("Ubunto 22.04", "/s", "x86_64")
    assert caught.value.hint == "did you mean 'Ubuntu 22.04'?"


@pytest.mark.parametrize(
    ("head", "name"), [(b"QFI\xfb\0\0\0\3", "system.qcow2"), (b"\0" * 512, "system.img")]
)
def test_own_image_is_named_after_its_format(tmp_path: Path, head: bytes, name: str) -> None:
    (tmp_path / "base").write_bytes(head)
    assert own_image_path(str(tmp_path / "base"), "/s/one") == f"/s/one/{name}"


def test_copy_says_the_same_and_is_private(tmp_path: Path) -> None:
    base, copy = tmp_path / "base", tmp_path / "copy"
    content = b"head" + bytes(40 << 20) + b"tail" + bytes(1 << 20)
    base.write_bytes(content)
    copy_image(str(base), str(copy))
    assert copy.read_bytes() == content
    assert copy.stat().st_mode & 0o777 == 0o600


def test_missing_base_image_is_reported(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file"):
        copy_image(str(tmp_path / "none"), str(tmp_path / "copy"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_base_image_behind_a_link_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"of root's")
    (tmp_path / "base.img").symlink_to("secret")
    copy_image(f"{tmp_path}/base.img", f"{tmp_path}/own-link.img")
    os.chown(tmp_path / "base.img", 12345, 12345, follow_symlinks=False)
    with pytest.raises(HostError, match="link of somebody else"):
        copy_image(f"{tmp_path}/base.img", f"{tmp_path}/copy.img")
    assert not (tmp_path / "copy.img").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_copy_belongs_to_its_owner(tmp_path: Path) -> None:
    (tmp_path / "base.img").write_bytes(b"system")
    copy_image(f"{tmp_path}/base.img", f"{tmp_path}/copy.img", (12345, 12346))
    found = (tmp_path / "copy.img").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 12346, 0o600)
