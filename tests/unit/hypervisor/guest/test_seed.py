from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.guest.seed import read_seed_image, write_seed_image
from tests.support.require import require_program

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "user-data": b"#cloud-config\n{}\n",
    "meta-data": b"{}\n",
    "network-config": b"{}\n",
    "vllm.toml": b"[master]\n" * 5000,
    "overrides.json": b"",
}


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = str(tmp_path / "seed.img")
    write_seed_image(path, FILES)
    return path


def test_seed_read_back_has_the_same_files(image: str) -> None:
    assert read_seed_image(image) == FILES


def test_seed_image_is_readable_by_its_owner_only(image: str) -> None:
    folder, name = os.path.split(image)
    assert os.stat(image).st_mode & 0o777 == 0o600
    assert os.listdir(folder) == [name]


def test_seed_image_written_again_replaces_the_old_one(image: str) -> None:
    write_seed_image(image, {"user-data": b"new"})
    assert read_seed_image(image) == {"user-data": b"new"}


def test_seed_label_is_seen_by_blkid(image: str) -> None:
    blkid = require_program("unit", "blkid")
    done = subprocess.run([blkid, "-p", "-o", "export", image], capture_output=True, text=True,
                          check=True)  # fmt: skip
    words = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert (words["LABEL"], words["TYPE"]) == ("CIDATA", "iso9660")


def test_names_that_differ_in_punctuation_only_are_kept_apart(tmp_path: Path) -> None:
    files = {name: name.encode() for name in ("user-data", "user_data", "user data", "User-Data")}
    write_seed_image(str(tmp_path / "seed.img"), files)
    assert read_seed_image(str(tmp_path / "seed.img")) == files


def test_long_names_are_kept(tmp_path: Path) -> None:
    files = {"a" * 58 + end: b"x" for end in ("1.toml", "2.toml")}
    write_seed_image(str(tmp_path / "seed.img"), files)
    assert read_seed_image(str(tmp_path / "seed.img")) == files


@pytest.mark.parametrize("name", ["", "a/b", "a" * 65])
def test_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        write_seed_image(str(tmp_path / "seed.img"), {name: b""})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 65536])
def test_file_that_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "seed.img").write_bytes(content)
    with pytest.raises(HostError, match="is no seed image"):
        read_seed_image(str(tmp_path / "seed.img"))


def test_missing_image_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file"):
        read_seed_image(str(tmp_path / "seed.img"))


def test_image_that_cannot_be_written_leaves_the_old_image(tmp_path: Path, image: str) -> None:
    shutil.copy(image, tmp_path / "old.img")
    with pytest.raises(OSError, match="No such file"):
        write_seed_image(str(tmp_path / "missing" / "seed.img"), FILES)
    assert read_seed_image(image) == read_seed_image(str(tmp_path / "old.img"))
