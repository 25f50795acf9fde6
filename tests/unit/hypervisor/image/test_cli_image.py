from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from launcher.cli.hypervisor.image import main
from launcher.errors import HostError, LauncherError, UsageError
from launcher.hypervisor.image import steps
from launcher.hypervisor.image.build import put_in_place
from launcher.hypervisor.image.debian import DebianWish, render_bootstrap, render_kernel_fetch
from launcher.hypervisor.image.steps import require_room, require_tools

if TYPE_CHECKING:
    from pathlib import Path


def refusal(*words: str) -> LauncherError:
    with pytest.raises(LauncherError) as caught:
        main(["build", *words], {})
    return caught.value


def test_folder_with_an_image_is_not_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "root.img").touch()
    error = refusal("--output", str(tmp_path))
    assert isinstance(error, HostError)
    assert error.message == f"'{tmp_path}' holds an image already"
    assert error.hint == "add --force to replace it"


def test_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    error = refusal("--output", str(tmp_path), "--force")
    assert error.message == f"'{tmp_path}' holds 'thesis.tex', which is no image's"
    assert (tmp_path / "thesis.tex").exists()


def test_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    assert "is no folder" in refusal("--output", str(tmp_path / "out"), "--force").message


def test_missing_programs_are_named_with_the_line_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(steps, "SYSTEM_PATH", "/nowhere")
    with pytest.raises(HostError) as caught:
        require_tools({"mmdebstrap": "mmdebstrap", "mkfs.erofs": "erofs-utils"})
    assert caught.value.message == "'mmdebstrap' and 'mkfs.erofs' are not on PATH"
    assert caught.value.hint == "install them with: apt-get install mmdebstrap erofs-utils"


def test_too_little_room_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"GB left, and 1000000000.0 GB are needed"):
        require_room(str(tmp_path), 10**18)


def test_password_in_the_mirrors_address_is_refused(tmp_path: Path) -> None:
    error = refusal("-o", str(tmp_path / "x"), "--mirror", "https://me:pw@example.org/debian")
    assert isinstance(error, UsageError)
    assert "pw" not in error.message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--spare", "5T"], "--spare: '5T' is no size"),
        (["--spare", "5G"], "--spare is for ext4: erofs is read-only"),
        (
            ["--add", "/nowhere:/x"],
            "--add: '/nowhere:/x' does not name a folder and a place for it",
        ),
        (["--include", "vim;rm"], "--include cannot be 'vim;rm'"),
        (["--suite", "-x"], "argument --suite: expected one argument"),
        (["--from", "a.tar", "--include", "vim"], "--include is for a Debian root"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, words: list[str], message: str
) -> None:
    words = words if "5T" not in words else [*words, "--filesystem", "ext4"]
    assert refusal("--output", str(tmp_path / "x"), *words).message == message
    assert os.listdir(tmp_path) == []


def test_container_image_that_is_missing_leaves_nothing_behind(tmp_path: Path) -> None:
    error = refusal("--output", str(tmp_path / "x"), "--from", str(tmp_path / "none.tar"))
    assert error.message.endswith("cannot be read: no such file or directory")
    assert os.listdir(tmp_path) == []


def test_new_image_replaces_the_former_as_a_whole(tmp_path: Path) -> None:
    new, output = tmp_path / "new", tmp_path / "output"
    for folder in (new, output):
        folder.mkdir()
        (folder / folder.name).touch()
    put_in_place(str(new), str(output))
    assert os.listdir(tmp_path) == ["output"]
    assert os.listdir(output) == ["new"]


def test_debian_root_is_made_without_installing_a_kernel() -> None:
    words = render_bootstrap(DebianWish(flavour="minimal"), "/w/root.tar", "/w/packages")
    assert words[-2:] == ["bookworm", "/w/root.tar"]
    assert not any(word.startswith("--include") and "linux-image" in word for word in words)


def test_kernel_for_a_container_image_is_fetched_without_a_root() -> None:
    words = render_kernel_fetch(DebianWish(flavour="minimal"), "/w/packages")
    assert "--format=null" in words
    assert not any(word.startswith("--include") for word in words)
