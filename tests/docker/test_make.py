"""`make image` and `make run-image`, as a user calls them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import APIError

from launcher import __version__
from tests.support.containers import Boxes, running
from tests.support.images import LABEL, REPOSITORY
from tests.support.launching import PROGRAMS, ROOT, Stub
from tests.support.require import require, require_program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(600)

CACHE = "vllmd-cache"  # the volume of `make run-image`


@pytest.fixture(scope="module")
def make() -> list[str]:
    """Return the words that begin a call of make with this environment, which is up to date."""
    require_program("docker", "docker")
    vllmd = os.path.join(sys.prefix, "bin", "vllmd")
    require("docker", f"there is no '{vllmd}'", present=os.access(vllmd, os.X_OK))
    return [require_program("docker", "make"), f"VENV={sys.prefix}", f"--old-file={vllmd}"]


def environ() -> dict[str, str]:
    """Return our environment without what a make that runs us hands down."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }


@pytest.fixture
def cache(engine: Any) -> Iterator[None]:
    """Remove the volume, unless it was there before."""
    known = {volume.name for volume in engine.volumes.list()}
    yield
    if CACHE not in known:
        with contextlib.suppress(APIError):  # another run of the suite has it
            engine.volumes.get(CACHE).remove()


def test_image_is_made_on_the_base_that_is_named(
    engine: Any, base: str, image: str, make: list[str]
) -> None:
    assert image  # whose layers are taken
    name = f"{REPOSITORY}:made"
    words = [*make, "image", f"BASE={base}", f"IMAGE={name}", f"BUILD_ARGS=--label {LABEL}=1"]
    done = subprocess.run(
        words, cwd=ROOT, env=environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    labels = engine.images.get(name).labels
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.base.name"] == base


def test_image_is_run_with_a_file_and_overrides_until_it_is_stopped(
    boxes: Boxes, make: list[str], cache: None
) -> None:
    assert cache is None
    stub, port = Stub(), Stub().port
    overrides = {"instance": {"a": {"server": {"port": port}}}}
    more = f"--name {boxes.mark} --label {LABEL}={boxes.mark} -e PYTHONPATH=/stub"
    words = [*make, "run-image", f"CONFIG={boxes.write(stub)}", f"IMAGE={boxes.image}",
             f"OVERRIDES={json.dumps(overrides)}",
             f"DOCKER_ARGS={more} -v {PROGRAMS}:/stub/tests/programs:ro"]  # fmt: skip
    with running(words, boxes.folder, environ()) as process:
        box = boxes.wait_for_other(boxes.mark)
        box.wait_healthy()
        assert f"http://127.0.0.1:{port}" in box.stderr()
        box.ask_to_stop(120)
        assert process.wait(120) == 0
