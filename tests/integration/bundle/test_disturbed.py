"""A tar that becomes another one between its checksum and its unpacking."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.bundles import sha256_of
from tests.support.commands import ROOT
from tests.support.wait import PATIENCE_S

if TYPE_CHECKING:
    from tests.support.bundles import Bundle
    from tests.support.installing import Workplace

CONFIG = 78


def disturb(place: Workplace, how: str) -> subprocess.CompletedProcess[str]:
    """Install `one.tar`, which becomes `two.tar` once its checksum is known."""
    words = (str(place.folder / "one.tar"), str(place.folder / "two.tar"), str(place.app), how)
    return subprocess.run(
        [sys.executable, "-m", "tests.programs.disturbed_install", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip


@pytest.mark.parametrize("how", ["replace", "rewrite"])
def test_tar_that_becomes_another_one_meanwhile_is_refused(
    place: Workplace, bundle: Bundle, newer: Bundle, how: str
) -> None:
    place.install_well(bundle)
    bundle.with_file("README", b"so that it is not what is there").write(place.folder / "one.tar")
    other = sha256_of(newer.write(place.folder / "two.tar"))
    done = disturb(place, how)
    assert done.returncode == CONFIG, done.stderr
    said = f"error: the bundle '{place.folder}/one.tar' has changed while it was read\n"
    assert done.stderr.endswith(said)
    assert sha256_of(place.folder / "one.tar") == other
    assert (place.marker(), place.generations()) == ("one", ["1"])


def test_pipe_is_no_bundle(place: Workplace) -> None:
    os.mkfifo(place.folder / "b.tar")
    done = place.install(place.folder / "b.tar")
    assert done.code == CONFIG
    assert "the bundle 'FOLDER/b.tar' is not a regular file" in done.err
