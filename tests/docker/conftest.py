"""What the suite with a real engine needs: a client, a base image, the image, and clean-up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.containers import Boxes
from tests.support.images import base_image, build_image, connect, prune
from tests.support.launching import ROOT
from tests.support.require import skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITE = "docker"
MAKING_S = 1200  # mmdebstrap, import, build: half a minute on an idle machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the first test the time that images take to make."""
    own = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    for item in own[:1]:
        item.add_marker(pytest.mark.timeout(MAKING_S))


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """Return a client of the engine."""
    client = connect()
    yield client
    prune(client)
    client.close()


@pytest.fixture(scope="session")
def base(engine: Any) -> str:
    """Return the name of a plain Debian image with Python."""
    return base_image(engine)


@pytest.fixture(scope="session")
def pyz() -> Path:
    """Build the launcher in one file, and fetch the wheels that the image is built with."""
    output = Path(ROOT) / "dist" / "vllmd.pyz"
    words = [sys.executable, os.path.join(ROOT, "tools", "build_pyz.py"), "--output", str(output)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "cannot fetch" in done.stderr:
        skip_or_fail(SUITE, "the wheels of tomli and deepmerge cannot be fetched by pip")
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="session")
def image(engine: Any, base: str, pyz: Path) -> str:
    """Return the id of the image that the project's Dockerfile builds on plain Debian."""
    assert pyz.is_file()
    return build_image(engine, base)


@pytest.fixture
def boxes(engine: Any, image: str, tmp_path: Path) -> Iterator[Boxes]:
    """Start containers; whatever is left of them is removed, also after a failed test."""
    boxes = Boxes(engine, image, tmp_path)
    yield boxes
    for text in boxes.clean():
        print(text)  # pytest shows it with a failure
