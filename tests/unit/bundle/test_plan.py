"""What is installed of a bundle, and what is wrong with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import tomli

from launcher.bundle.errors import BundleError
from launcher.bundle.inspect import as_data, inspect_contents
from launcher.bundle.model import (
    CONDA,
    DIFFERS,
    MISSING,
    OK,
    PYPI,
    SOURCE,
    UNPROVEN,
    Contents,
    Digest,
    Package,
)
from launcher.bundle.plan import Wish, find_faults, find_platform, list_packages, plan_project
from launcher.record import replace

if TYPE_CHECKING:
    from launcher.bundle.model import Project

WISH = Wish(environments=("default",), platform="linux-64", root="/app/.vllmd/1")
FILE = "channel/linux-64/python-3.12-h_0.conda"
ENTRY = {"name": "python", "version": "3.12", "build": "h_0", "depends": ["a"], "sha256": "aa"}
INDEX = {"packages.conda": {"python-3.12-h_0.conda": ENTRY}}
LOCK = """\
version: 6
environments:
  default:
    channels:
    - url: https://conda.example/
    packages:
      linux-64:
      - conda: https://conda.example/linux-64/python-3.12-h_0.conda
packages:
- conda: https://conda.example/linux-64/python-3.12-h_0.conda
"""
MANIFEST = "[workspace]\nchannels = []\n"


def contents(**texts: str) -> Contents:
    """Return a bundle with one package and these texts: pixi_toml for pixi.toml."""
    named = {name.replace("_", "."): text for name, text in texts.items()}
    index = {"channel/linux-64/repodata.json": json.dumps(INDEX)}
    return Contents(files={FILE: Digest(size=3, sha256="aa")}, texts={**index, **named})


def plan(given: Contents, wish: Wish = WISH, **own: str) -> Project:
    named = {name.replace("_", "."): text for name, text in own.items()}
    return plan_project(given, named, wish)


def test_lock_and_manifest_of_the_bundle_count() -> None:
    project = plan(contents(pixi_toml=MANIFEST, pixi_lock=LOCK), pixi_toml="[other]")
    assert project.origin == "bundle"
    assert tomli.loads(project.manifest)["workspace"]["channels"] == ["./channel"]
    assert f"- conda: /app/.vllmd/1/{FILE}\n" in project.lock
    assert [each.name for each in project.environments["default"]] == ["python"]


def test_project_in_the_folder_counts_where_the_bundle_has_none() -> None:
    project = plan(contents(), pixi_toml=MANIFEST, pixi_lock=LOCK)
    assert project.origin == "project"
    assert "conda.example" not in project.lock


def test_bundle_alone_gets_a_manifest_and_a_lock_of_all_it_has() -> None:
    project = plan(contents())
    assert (project.origin, project.manifest_name) == ("made", "pixi.toml")
    assert '  depends: ["a"]\n' in project.lock


def test_checksums_come_from_the_index_where_the_lock_has_none() -> None:
    (package,) = plan(contents(pixi_lock=LOCK)).environments["default"]
    assert package.sha256 == "aa"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (contents(pixi_lock="version: 1"), "its 'pixi.lock' cannot be used: its version is '1'"),
        (contents(pixi_lock=LOCK.replace("linux-64:", "osx-64:")), "has nothing for 'linux-64'"),
        (Contents(files={}, texts={}), "its channel has no package for 'linux-64'"),
        (Contents(files={}, texts={"channel/noarch/repodata.json": "{"}), "it is not JSON"),
        (Contents(files={}, texts={"channel/noarch/repodata.json": "[]"}), "is not a JSON object"),
        (Contents(files={}, texts={"pixi-pack.json": '{"platform": "win-64"}'}), "for 'win-64'"),
    ],
)
def test_bundle_that_cannot_be_used_is_refused(given: Contents, reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        plan(given)


def test_unknown_environment_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BundleError) as caught:
        plan(contents(pixi_lock=LOCK), replace(WISH, environments=("defalt",)))
    assert caught.value.hint == "did you mean 'default'?"


def test_two_builds_without_a_lock_are_refused() -> None:
    other = {**ENTRY, "build": "h_1"}
    both = {"packages.conda": {**INDEX["packages.conda"], "python-3.12-h_1.conda": other}}
    given = Contents(files={}, texts={"channel/linux-64/repodata.json": json.dumps(both)})
    with pytest.raises(BundleError, match="several builds of 'python'"):
        plan(given)


CONDA_PACKAGE = Package(kind=CONDA, name="a", version="1", file="f", sha256="aa")


@pytest.mark.parametrize(
    ("package", "digest", "state"),
    [
        (CONDA_PACKAGE, Digest(size=1, sha256="aa"), OK),
        (CONDA_PACKAGE, Digest(size=1, sha256="bb"), DIFFERS),
        (CONDA_PACKAGE, None, MISSING),
        (replace(CONDA_PACKAGE, sha256="", md5="m"), Digest(size=1, sha256="x", md5="m"), OK),
        (replace(CONDA_PACKAGE, sha256="", md5="m"), Digest(size=1, sha256="x", md5="n"), DIFFERS),
        (replace(CONDA_PACKAGE, sha256=""), Digest(size=1, sha256="x"), UNPROVEN),
        (replace(CONDA_PACKAGE, kind=SOURCE), None, SOURCE),
    ],
)
def test_package_is_compared_with_its_checksum(
    package: Package, digest: Digest | None, state: str
) -> None:
    (listed,) = list_packages((package,), {"f": digest} if digest else {})
    assert listed.state == state


@pytest.mark.parametrize(
    ("package", "faults"),
    [
        (CONDA_PACKAGE, ("the package 'f' is not what its checksum says",)),
        (replace(CONDA_PACKAGE, file="g"), ("the package 'g' is missing",)),
        (
            replace(CONDA_PACKAGE, sha256=""),
            ("nothing says which checksum the package 'f' has",),
        ),
        (replace(CONDA_PACKAGE, sha256="", kind=PYPI), ()),
        (replace(CONDA_PACKAGE, sha256="x"), ()),
    ],
)
def test_faults_are_sentences(package: Package, faults: tuple[str, ...]) -> None:
    assert find_faults(list_packages((package,), {"f": Digest(size=1, sha256="x")})) == faults


def test_machine_without_conda_packages_is_refused() -> None:
    assert find_platform("aarch64") == "linux-aarch64"
    with pytest.raises(BundleError, match="no conda packages for a 'vax'"):
        find_platform("vax")


def test_inspection_lists_every_environment_of_this_platform() -> None:
    extra = "channel/linux-64/other-1-0.conda"
    given = contents(pixi_lock=LOCK)
    files = {**given.files, extra: Digest(size=1, sha256="x")}
    inspection = inspect_contents(Contents(files=files, texts=given.texts), "", "linux-64")
    (section,) = inspection.sections
    assert [each.package.name for each in section.packages] == ["python"]
    assert (inspection.unlisted, inspection.lacks) == ((extra,), ("pixi.toml",))
    assert inspection.size() == 3


def test_inspection_of_another_platform_shows_what_there_is() -> None:
    inspection = inspect_contents(contents(pixi_lock=LOCK), "", "linux-aarch64")
    assert [each.platform for each in inspection.sections] == ["linux-64"]


def test_inspection_as_data_names_what_is_missing() -> None:
    given = Contents(files={}, texts=contents(pixi_lock=LOCK).texts)
    data = as_data(inspect_contents(given, "default", "linux-64"))
    assert data["missing"] == [FILE]
