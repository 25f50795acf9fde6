"""Bundles that cannot be used are refused, in one sentence, and change nothing."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.support.bundles import MANIFEST, PLATFORM, Bundle, sha256_of
from tests.support.commands import Commands
from tests.support.pixi import write_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.installing import Workplace

UNAVAILABLE, USAGE, CONFIG = 69, 64, 78
WRONG = "0" * 64


def refused(place: Workplace, bundle: Bundle, code: int = CONFIG) -> str:
    """Have a bundle refused; return what was said."""
    done = place.install(bundle)
    assert (done.code, done.out) == (code, ""), done.err
    assert "Traceback" not in done.err
    assert place.generations() == []
    return done.err


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


# What would leave the folder


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../../evil", "'../../evil' in the bundle leads out of its folder"),
        ("channel/../../evil", "'channel/../../evil' in the bundle leads out of its folder"),
        ("/srv/evil", "'/srv/evil' in the bundle is an absolute path"),
        ("channel/a\nb", "in the bundle is no name for a file"),
        ("a" * 300, "in the bundle is no name for a file"),
    ],
)
def test_path_that_leaves_the_folder_is_refused(
    place: Workplace, bundle: Bundle, name: str, said: str
) -> None:
    evil = bundle.with_member(tarfile.TarInfo(name), b"evil")
    assert said in refused(place, evil)
    assert not (place.folder / "evil").exists()


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (link("channel/out", "/etc"), "a symbolic link"),
        (link("channel/in", "noarch"), "a symbolic link"),
        (link("channel/hard", "/etc/passwd", tarfile.LNKTYPE), "a hard link"),
        (link("channel/null", "", tarfile.CHRTYPE), "a device"),
        (link("channel/disk", "", tarfile.BLKTYPE), "a device"),
        (link("channel/pipe", "", tarfile.FIFOTYPE), "a named pipe"),
        (link("channel/odd", "", b"Z"), "no plain file"),
    ],
)
def test_entry_that_is_no_file_is_refused(
    place: Workplace, bundle: Bundle, info: tarfile.TarInfo, said: str
) -> None:
    said = f"error: '{info.name}' in the bundle is {said}\nhint: nothing was unpacked"
    assert said in refused(place, bundle.with_member(info))


def test_write_through_a_link_is_refused(place: Workplace, bundle: Bundle) -> None:
    outside = place.folder / "outside"
    outside.mkdir()
    evil = bundle.with_member(link("channel/out", str(outside)))
    evil = evil.with_member(tarfile.TarInfo("channel/out/evil"), b"evil")
    refused(place, evil)
    assert list(outside.iterdir()) == []


def test_file_that_is_there_twice_is_refused(place: Workplace, bundle: Bundle) -> None:
    twice = bundle.with_member(tarfile.TarInfo("./pixi.lock"), b"version: 6")
    assert "'pixi.lock' is in the bundle twice" in refused(place, twice)


def test_set_id_bits_are_not_taken_over(place: Workplace, bundle: Bundle) -> None:
    info = tarfile.TarInfo("scripts/tool")
    info.mode = 0o6777
    place.install_well(bundle.with_member(info, b"#!/bin/sh\n"))
    assert (place.app / "scripts/tool").stat().st_mode & 0o7022 == 0


# What is not what it should be


def test_wrong_checksum_of_the_tar_is_refused(place: Workplace, bundle: Bundle) -> None:
    done = place.install(bundle, AUTO_INFER_VLLM_BUNDLE_SHA256=WRONG)
    assert done.code == CONFIG
    sha256 = sha256_of(place.folder / "bundle.tar")
    said = f"error: the bundle 'FOLDER/bundle.tar' has the SHA-256 '{sha256}', not '{WRONG}'\n"
    assert said in done.err
    assert not place.prefix.exists()


def test_checksum_that_is_none_is_wrong_usage(place: Workplace, bundle: Bundle) -> None:
    done = place.install(bundle, AUTO_INFER_VLLM_BUNDLE_SHA256="abc")
    assert done.code == USAGE
    assert "AUTO_INFER_VLLM_BUNDLE_SHA256: 'abc' is no SHA-256" in done.err


def test_package_that_was_changed_is_refused(
    place: Workplace, bundle: Bundle, newer: Bundle
) -> None:
    path = newer.package("stubmodel")
    other = bundle.files[path]  # a good package, but another one
    said = refused(place, newer.with_file(path, other))
    assert f"the package '{path}' is not what its checksum says" in said


def test_refused_bundle_leaves_the_former_one(
    place: Workplace, bundle: Bundle, newer: Bundle
) -> None:
    place.install_well(bundle)
    assert place.install(newer.without("channel/noarch/stub")).code == CONFIG
    assert (place.marker(), place.generations()) == ("one", ["1"])


def test_package_that_was_cut_short_is_refused(place: Workplace, bundle: Bundle) -> None:
    path = bundle.package("python")
    said = refused(place, bundle.with_file(path, bundle.files[path][:100]))
    assert f"the package '{path}' is not what its checksum says" in said


def test_every_missing_package_is_named(place: Workplace, bundle: Bundle) -> None:
    bare = bundle.without("channel/noarch/stub", f"channel/{PLATFORM}/python")
    said = refused(place, bare)
    assert said.count("is missing") == 2
    assert "2 errors" in said


def test_changed_package_is_refused_by_the_index_too(
    place: Workplace, bundle: Bundle, newer: Bundle
) -> None:
    path = newer.package("stubmodel")
    packed = newer.without("pixi.toml", "pixi.lock").with_file(path, bundle.files[path])
    assert "is not what its checksum says" in refused(place, packed)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_tar_that_was_cut_short_is_refused(place: Workplace, bundle: Bundle, share: float) -> None:
    tar = bundle.write(place.folder / "b.tar")
    used = len(tar.read_bytes().rstrip(b"\0"))  # what follows is padding, and is not missed
    os.truncate(tar, int(used * share))
    done = place.install(tar)
    assert done.code == CONFIG, done.err
    assert place.generations() == []


def test_file_that_is_no_tar_is_refused(place: Workplace) -> None:
    tar = place.folder / "b.tar"
    tar.write_bytes(b"hello" * 1000)
    done = place.install(tar)
    assert done.code == CONFIG
    assert "the bundle 'FOLDER/b.tar' is no tar, or not a whole one" in done.err


def test_tar_that_is_not_there_is_refused(place: Workplace) -> None:
    done = place.install(place.folder / "none.tar")
    assert (done.code, done.err) == (
        CONFIG,
        "error: there is no bundle 'FOLDER/none.tar'\nhint: correct the path, or mount it there\n",
    )


def other_platform(text: str) -> str:
    return text.replace(PLATFORM, "osx-arm64")


@pytest.mark.parametrize(
    ("path", "change", "said"),
    [
        ("pixi-pack.json", other_platform, "it is a bundle for 'osx-arm64', and this machine is"),
        ("pixi.lock", other_platform, "its 'pixi.lock' has nothing for "),
        ("pixi.lock", lambda _: "version: 3\n", "its version is '3', and 6 or 7 are understood"),
        (
            "pixi.lock",
            lambda text: text.split("\npackages:")[0],
            "it does not describe the package",
        ),
        ("pixi.toml", lambda _: "[workspace\n", "its 'pixi.toml' cannot be used: it is not TOML"),
        ("pixi.toml", lambda _: "[x]\n", "its 'pixi.toml' cannot be used: it has no [workspace]"),
        ("pixi-pack.json", lambda _: "{", "its 'pixi-pack.json' is not JSON"),
    ],
)
def test_text_that_cannot_be_used_is_refused(
    place: Workplace, bundle: Bundle, path: str, change: Callable[[str], str], said: str
) -> None:
    done = place.install(bundle.edit(path, change))
    assert done.code == CONFIG
    assert "error: 'FOLDER/bundle.tar': its '" in done.err or path == "pixi-pack.json"
    assert said in done.err


def test_environment_that_is_not_locked_is_refused(place: Workplace, bundle: Bundle) -> None:
    done = place.install(bundle, "--environment", "defualt")
    assert done.code == CONFIG
    assert "has no environment 'defualt'\nhint: did you mean 'default'?" in done.err


def test_manifest_with_bytes_that_are_no_text_is_refused(place: Workplace, bundle: Bundle) -> None:
    done = place.install(bundle.with_file("pixi.toml", MANIFEST.encode() + b"\xff"))
    assert done.code == CONFIG
    assert "'pixi.toml' in the bundle is no text" in done.err


# What the machine lacks


def test_neither_pixi_nor_rattler_is_told_with_what_to_install(
    place: Workplace, bundle: Bundle
) -> None:
    hidden = place.folder / "hidden"
    (hidden / "rattler").mkdir(parents=True)
    (hidden / "rattler/__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'rattler'\", name='rattler')\n"
    )
    path = f"{hidden}:{Commands(place.folder).environ()['PYTHONPATH']}"
    done = place.install(bundle, PYTHONPATH=path)
    assert done.code == UNAVAILABLE
    assert done.err.endswith(
        "error: there is neither pixi nor py-rattler to install packages with\n"
        "hint: pip install 'vllmd[bundle]', or put a pixi from its own releases on PATH\n"
    )


def test_another_program_called_pixi_is_not_used(place: Workplace, bundle: Bundle) -> None:
    write_program(place.folder / "tools/pixi", "echo 1.0.1")
    tools = str(place.folder / "tools")
    said = place.install_well(bundle, PATH=tools)
    assert "warning: 'FOLDER/tools/pixi' is not the package manager pixi" in said
    done = place.install(bundle, "--by", "pixi", "--force", PATH=tools)
    assert done.code == UNAVAILABLE


def test_failure_of_pixi_is_told_in_its_words(place: Workplace, bundle: Bundle) -> None:
    write_program(
        place.folder / "tools/pixi",
        'case "$1" in --version) echo pixi 0.77.0;; *) echo "Error:   x no" >&2; exit 1;; esac',
    )
    done = place.install(bundle, PATH=str(place.folder / "tools"))
    assert done.code == CONFIG
    assert "error: 'pixi install' has failed: x no\n" in done.err


def test_pixi_that_installs_elsewhere_is_refused(place: Workplace, bundle: Bundle) -> None:
    write_program(place.folder / "tools/pixi", "echo pixi 0.77.0")
    done = place.install(bundle, PATH=str(place.folder / "tools"))
    assert done.code == CONFIG
    assert "the environment 'default' was installed without the package" in done.err


def test_folder_that_cannot_be_made_is_refused(place: Workplace, bundle: Bundle) -> None:
    place.app.write_text("a file")
    done = place.install(bundle)
    assert done.code == UNAVAILABLE
    assert "the folder 'FOLDER/app' cannot be written: " in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bundle", "install"), "no bundle: none was named"),
        (("bundle", "install", "b.tar"), "nothing says where to install the bundle"),
        (("bundle", "install", "b.tar", "--into", "a", "--sha256", "x"), "is no SHA-256"),
        (("bundle",), "required"),
        (("bundle", "inspect", "a", "b"), "one word too many: 'b'"),
    ],
)
def test_wrong_usage_is_told(place: Workplace, words: tuple[str, ...], said: str) -> None:
    done = Commands(place.folder).run(*words)
    assert done.code == USAGE
    assert said in done.err
