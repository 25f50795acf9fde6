"""The installer of pixi: the release whose checksum is pinned or given, or nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.launching import ROOT
from tests.support.pixi_mirror import PROGRAM, VERSION, Mirror, archive_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCRIPT = os.path.join(
    ROOT, "dockers/infer-dev/installation/stage-2/custom/install-pixi.sh"
)  # fmt: skip
TOOLS = "chmod cp dirname gzip mkdir mktemp mv rm sh sha256sum tar uname".split()  # noqa: SIM905


@dataclass(frozen=True, kw_only=True)
class Installer:
    """The script, and where it gets releases from."""

    mirror: Mirror
    target: Path

    def install(self, **variables: str) -> tuple[int, str]:
        """Run the script; return its exit code and what it said."""
        environ = {"PATH": os.environ["PATH"], "PIXI_VERSION": VERSION}
        environ |= {"PIXI_RELEASES": self.mirror.url, "PIXI_BIN": str(self.target), **variables}
        done = subprocess.run([SCRIPT], env=environ, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr or done.stdout


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path)


@pytest.fixture
def installer(mirror: Mirror) -> Installer:
    return Installer(mirror=mirror, target=mirror.folder / "bin" / "pixi")


@pytest.fixture
def served(mirror: Mirror, installer: Installer) -> Iterator[Installer]:
    with mirror.served():
        yield installer


def test_release_with_the_given_checksum_is_installed(served: Installer) -> None:
    assert served.install(PIXI_SHA256=served.mirror.sha256) == (
        0,
        f"pixi {VERSION}: {served.target}\n",
    )
    done = subprocess.run([served.target], capture_output=True, text=True, check=True)
    assert done.stdout == "pixi 9.9.9\n"


def test_image_without_curl_fetches_by_python(served: Installer) -> None:
    tools = served.mirror.folder / "tools"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(str(shutil.which(name)))
    (tools / "python3").symlink_to(sys.executable)
    variables = {"PATH": str(tools), "PIXI_SHA256": served.mirror.sha256}
    assert served.install(**variables) == (0, f"pixi {VERSION}: {served.target}\n")
    code, said = served.install(**variables, PIXI_VERSION="8.8.8")
    assert (code, "HTTP Error 404" in said) == (69, True)


def test_version_with_a_v_is_the_same(installer: Installer) -> None:
    assert (
        installer.install(PIXI_VERSION=f"v{VERSION}", PIXI_SHA256=installer.mirror.sha256)[0] == 0
    )


def test_release_with_another_checksum_is_refused_and_replaces_nothing(
    installer: Installer,
) -> None:
    assert installer.install(PIXI_SHA256=installer.mirror.sha256)[0] == 0
    installer.mirror.release.write_bytes(archive_of(b"#!/bin/sh\necho evil\n"))
    found = hashlib.sha256(installer.mirror.release.read_bytes()).hexdigest()
    code, said = installer.install(PIXI_SHA256=installer.mirror.sha256)
    assert code == 1
    assert said == (
        f"error: pixi {VERSION} has the checksum {found}, not {installer.mirror.sha256}\n"
        "hint: do not use it; compare PIXI_SHA256 with the page of the release\n"
    )
    assert installer.target.read_bytes() == PROGRAM


def test_truncated_release_is_refused(installer: Installer) -> None:
    installer.mirror.release.write_bytes(archive_of(PROGRAM)[:-20])
    assert installer.install(PIXI_SHA256=installer.mirror.sha256)[0] == 1
    assert not installer.target.exists()


def test_release_without_known_checksum_is_not_even_fetched(installer: Installer) -> None:
    code, said = installer.install()
    assert (code, said.partition("\n")[0]) == (64, "error: no checksum is known of pixi 9.9.9")


def test_release_that_is_not_there_is_told(served: Installer) -> None:
    code, said = served.install(PIXI_VERSION="8.8.8", PIXI_SHA256=served.mirror.sha256)
    assert code == 69
    assert "error: pixi 8.8.8 cannot be fetched\nhint: check the network" in said


def test_pinned_release_is_taken_by_default_and_checked(installer: Installer) -> None:
    pinned = installer.mirror.folder / "v0.75.0" / installer.mirror.release.name
    pinned.parent.mkdir()
    pinned.write_bytes(installer.mirror.release.read_bytes())
    code, said = installer.install(PIXI_VERSION="")
    assert code == 1
    assert said.startswith(f"error: pixi 0.75.0 has the checksum {installer.mirror.sha256}, not ")
