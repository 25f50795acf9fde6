"""The installer of pixi: the release whose checksum is pinned or given, or nothing."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests.support.launching import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCRIPT = os.path.join(
    ROOT, "dockers/infer-dev/installation/stage-2/custom/install-pixi.sh"
)  # fmt: skip
VERSION = "9.9.9"
TOOLS = "chmod cp dirname gzip mkdir mktemp mv rm sh sha256sum tar uname".split()  # noqa: SIM905
PROGRAM = b"#!/bin/sh\necho pixi 9.9.9\n"


def archive_of(program: bytes) -> bytes:
    """Return an archive as releases are: one file, `pixi`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("pixi")
        entry.size = len(program)
        archive.addfile(entry, io.BytesIO(program))
    return buffer.getvalue()


class Mirror:
    """A folder of releases, and an installation from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = folder / "bin" / "pixi"
        self.url = f"file://{folder}"
        name = f"pixi-{platform.machine()}-unknown-linux-musl.tar.gz"
        release = folder / f"v{VERSION}" / name
        release.parent.mkdir()
        release.write_bytes(archive_of(PROGRAM))
        self.sha256 = hashlib.sha256(release.read_bytes()).hexdigest()
        self.release = release

    def install(self, **variables: str) -> tuple[int, str]:
        """Run the script; return its exit code and what it said."""
        environ = {"PATH": os.environ["PATH"], "PIXI_VERSION": VERSION}
        environ |= {"PIXI_RELEASES": self.url, "PIXI_BIN": str(self.target), **variables}
        done = subprocess.run([SCRIPT], env=environ, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr or done.stdout


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path)


@pytest.fixture
def served(mirror: Mirror) -> Iterator[Mirror]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(mirror.folder))
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        mirror.url = f"http://127.0.0.1:{server.server_port}"
        yield mirror
        server.shutdown()


def test_release_with_the_given_checksum_is_installed(served: Mirror) -> None:
    assert served.install(PIXI_SHA256=served.sha256) == (0, f"pixi {VERSION}: {served.target}\n")
    done = subprocess.run([served.target], capture_output=True, text=True, check=True)
    assert done.stdout == "pixi 9.9.9\n"


def test_image_without_curl_fetches_by_python(served: Mirror) -> None:
    tools = served.folder / "tools"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(str(shutil.which(name)))
    (tools / "python3").symlink_to(sys.executable)
    variables = {"PATH": str(tools), "PIXI_SHA256": served.sha256}
    assert served.install(**variables) == (0, f"pixi {VERSION}: {served.target}\n")
    code, said = served.install(**variables, PIXI_VERSION="8.8.8")
    assert (code, "HTTP Error 404" in said) == (69, True)


def test_version_with_a_v_is_the_same(mirror: Mirror) -> None:
    assert mirror.install(PIXI_VERSION=f"v{VERSION}", PIXI_SHA256=mirror.sha256)[0] == 0


def test_release_with_another_checksum_is_refused_and_replaces_nothing(mirror: Mirror) -> None:
    assert mirror.install(PIXI_SHA256=mirror.sha256)[0] == 0
    mirror.release.write_bytes(archive_of(b"#!/bin/sh\necho evil\n"))
    found = hashlib.sha256(mirror.release.read_bytes()).hexdigest()
    code, said = mirror.install(PIXI_SHA256=mirror.sha256)
    assert code == 1
    assert said == (
        f"error: pixi {VERSION} has the checksum {found}, not {mirror.sha256}\n"
        "hint: do not use it; compare PIXI_SHA256 with the page of the release\n"
    )
    assert mirror.target.read_bytes() == PROGRAM


def test_truncated_release_is_refused(mirror: Mirror) -> None:
    mirror.release.write_bytes(archive_of(PROGRAM)[:-20])
    assert mirror.install(PIXI_SHA256=mirror.sha256)[0] == 1
    assert not mirror.target.exists()


def test_release_without_known_checksum_is_not_even_fetched(mirror: Mirror) -> None:
    code, said = mirror.install()
    assert (code, said.partition("\n")[0]) == (64, "error: no checksum is known of pixi 9.9.9")


def test_release_that_is_not_there_is_told(served: Mirror) -> None:
    code, said = served.install(PIXI_VERSION="8.8.8", PIXI_SHA256=served.sha256)
    assert code == 69
    assert "error: pixi 8.8.8 cannot be fetched\nhint: check the network" in said


def test_pinned_release_is_taken_by_default_and_checked(mirror: Mirror) -> None:
    pinned = mirror.folder / "v0.75.0" / mirror.release.name
    pinned.parent.mkdir()
    pinned.write_bytes(mirror.release.read_bytes())
    code, said = mirror.install(PIXI_VERSION="")
    assert code == 1
    assert said.startswith(f"error: pixi 0.75.0 has the checksum {mirror.sha256}, not ")
