"""The offline bundle in a container: installed at its start, without a network, then served from.

The image has nothing that installs packages: py-rattler is mounted from this machine.
"""

from __future__ import annotations

import importlib.util
import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.support.bundles import make_bundle, sha256_of
from tests.support.containers import PYTHON, Box, Boxes, Wish
from tests.support.launching import Stub
from tests.support.require import require_module

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

LIBRARIES = ("rattler", "installer")
OVERRIDES = {"master": {"pixi_project_dir": "/cache/app", "pixi_launch": "hook"}}
CONFINED = {"network_mode": "none", "read_only": True, "cap_drop": ["ALL"]}


@pytest.fixture(scope="module")
def tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a Python that is the container's."""
    for name in (*LIBRARIES, "zstandard"):
        require_module("docker", name)
    folder = tmp_path_factory.mktemp("bundle")
    return make_bundle(folder, python=PYTHON).write(folder / "bundle.tar")


def library(name: str) -> str:
    """Return the folder of a library of this machine."""
    spec = importlib.util.find_spec(name)
    assert spec
    assert spec.origin
    return os.path.dirname(spec.origin)


def start(boxes: Boxes, tar: Path, sha256: str) -> Box:
    """Start a container whose cache is a folder that all of a test share."""
    cache = boxes.folder / "cache"
    cache.mkdir(exist_ok=True)
    cache.chmod(0o777)
    mounts = {library(name): f"/libraries/{name}:ro" for name in LIBRARIES}
    environ = {
        "AUTO_INFER_VLLM_BUNDLE_PATH": "/data/bundle.tar",
        "AUTO_INFER_VLLM_BUNDLE_SHA256": sha256,
        "AUTO_INFER_VLLM_OVERRIDES": json.dumps(OVERRIDES),
        "PYTHONPATH": "/stub:/libraries",
    }
    volumes = {str(tar): "/data/bundle.tar:ro", str(cache): "/cache:rw", **mounts}
    wish = Wish(environ=environ, volumes=volumes, tmpfs={"/tmp": ""}, options=CONFINED)  # noqa: S108
    return boxes.start(Stub(), wish=wish)


def test_bundle_is_installed_at_the_first_start_and_served_from(boxes: Boxes, tar: Path) -> None:
    for said in ("installed into '/cache/app'", "'/cache/app' has it already"):
        box = start(boxes, tar, sha256_of(tar))
        box.wait_healthy()
        assert f"vllmd: bundle: {said}: 2 packages in 'default', by py-rattler" in box.stderr()
        assert box.stop() == 0
    assert (boxes.folder / "cache/app/.pixi/envs/default/bin/python").exists()


def test_bundle_with_another_checksum_starts_nothing(boxes: Boxes, tar: Path) -> None:
    box = start(boxes, tar, "0" * 64)
    assert box.wait() == 78
    assert "has the SHA-256" in box.stderr()
    assert "started (pid" not in box.stderr()
