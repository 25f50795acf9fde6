"""`vllmd bundle inspect`: of a tar, and of a folder that one was installed into."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

from tests.support.bundles import PLATFORM, Bundle, sha256_of
from tests.support.commands import Commands, Done

if TYPE_CHECKING:
    from tests.support.installing import Workplace

CONFIG = 78


def inspect(place: Workplace, *words: str, **env: str) -> Done:
    return Commands(place.folder).run("bundle", "inspect", *words, env=env)


def test_tar_is_listed(place: Workplace, bundle: Bundle) -> None:
    bundle.write(place.folder / "b.tar")
    done = inspect(place, "b.tar")
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[:3] == ["b.tar", "", f"environment 'default', {PLATFORM}: 2 packages"]
    assert lines[4].split()[:4] == ["python", "3.11.9", "h1_0", "conda"]
    assert lines[4].endswith("  ok")
    assert lines[-1] == "nothing is missing"


def test_tar_of_the_variable_is_listed_as_json(place: Workplace, bundle: Bundle) -> None:
    tar = bundle.write(place.folder / "b.tar")
    data = json.loads(inspect(place, "--json", AUTO_INFER_VLLM_BUNDLE_PATH=str(tar)).out)
    (environment,) = data["environments"]
    assert [each["name"] for each in environment["packages"]] == ["python", "stubmodel"]
    assert data["missing"] == data["unlisted"] == data["lacks"] == []
    assert data["size"] == sum(each["size"] for each in environment["packages"])


def test_missing_and_wrong_packages_are_shown(place: Workplace, bundle: Bundle) -> None:
    python, stub = bundle.package("python"), bundle.package("stubmodel")
    bundle.without(python).with_file(stub, b"x").write(place.folder / "b.tar")
    done = inspect(place, "b.tar")
    assert done.code == CONFIG
    states = [line.split()[-1] for line in done.out.splitlines() if " conda " in line]
    assert states == ["missing", "differs"]
    assert done.out.endswith("2 packages are missing or wrong\n")


def test_package_that_nobody_needs_is_named(place: Workplace, bundle: Bundle) -> None:
    bundle.with_file("channel/noarch/other-1-0.conda", b"x").write(place.folder / "b.tar")
    assert "not used: 'channel/noarch/other-1-0.conda'\n" in inspect(place, "b.tar").out


def test_packed_channel_says_what_it_lacks(place: Workplace, bundle: Bundle) -> None:
    bundle.without("pixi.toml", "pixi.lock").write(place.folder / "b.tar")
    done = inspect(place, "b.tar")
    assert done.code == 0
    assert "not in the bundle: 'pixi.toml'" in done.out
    assert "not in the bundle: 'pixi.lock'" in done.out


def test_installed_folder_is_listed(place: Workplace, bundle: Bundle) -> None:
    place.install_well(bundle)
    done = inspect(place, "app")
    assert done.code == 0
    assert done.out.startswith("app: FOLDER/bundle.tar, installed by py-rattler ")
    data = json.loads(inspect(place, "app", "--json").out)
    assert data["sha256"] == sha256_of(place.folder / "bundle.tar")


def test_file_that_was_removed_is_missing(place: Workplace, bundle: Bundle) -> None:
    place.install_well(bundle)
    (place.prefix / "bin/python3.11").unlink()
    done = inspect(place, "app")
    assert done.code == CONFIG
    assert "1 packages are missing or wrong" in done.out


def test_folder_without_a_bundle_is_refused(place: Workplace) -> None:
    place.app.mkdir()
    done = inspect(place, "app")
    assert (done.code, done.out) == (CONFIG, "")
    assert done.err.startswith("error: no bundle was installed into 'app'\nhint: vllmd bundle in")


def test_archive_without_a_package_is_refused(place: Workplace) -> None:
    with tarfile.open(place.folder / "empty.tar", "w"):
        pass
    done = inspect(place, "empty.tar")
    assert done.code == CONFIG
    assert "has no package" in done.err
