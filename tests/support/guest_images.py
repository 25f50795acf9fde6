"""Guest images for the tests, built once and kept: building one takes half a minute and more."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from launcher.hypervisor.guest.manifest import ImageManifest, require_manifest
from tests.support.launching import ROOT
from tests.support.require import require, require_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SUITE = "vm"
# What the command `vllmd-hypervisor` executes.
HYPERVISOR = (
    sys.executable,
    "-c",
    "from launcher.cli.hypervisor.main import main; raise SystemExit(main())",
)
CACHE_VARIABLE = "VLLMD_TEST_IMAGE_CACHE"
CACHE = os.path.join(ROOT, "build", "test-images")
KEPT = 6  # images in the cache; the oldest goes
TOOLS = {
    "mmdebstrap": "mmdebstrap", "mkfs.erofs": "erofs-utils", "mkfs.ext4": "e2fsprogs",
    "qemu-system-x86_64": "qemu-system-x86",
}  # fmt: skip
# Stub servers, where the guest's configuration finds them.
STUBS = "/opt/stubs"
STUB_OPTIONS = ("--add", f"{ROOT}/tests/programs:{STUBS}/tests/programs")


def require_tools() -> None:
    """Need what builds images and runs guests."""
    for program in TOOLS:
        require_program(SUITE, program)
    # A user namespace would do as well, but not every machine allows it.
    require(SUITE, "building an image needs root", present=os.geteuid() == 0)


def build_image(*options: str) -> ImageManifest:
    """Return the image that `image build` makes with these options; from the cache, if it is there.

    Whatever goes into an image is part of its name in the cache.
    """
    folder = os.path.join(os.environ.get(CACHE_VARIABLE, CACHE), _key(options))
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with open(f"{folder}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(folder):
            _drop_oldest(os.path.dirname(folder))
            words = [*HYPERVISOR, "image", "build", "--output", folder]
            subprocess.run([*words, *options], check=True, cwd=ROOT)
        os.utime(folder)  # in use: not the oldest
    return require_manifest(folder)


def build_once(name: str, image: ImageManifest, write: Callable[[str], None]) -> str:
    """Return a file made from an image; `write` makes it where it is not in the cache."""
    path = f"{os.path.dirname(image.image)}.{name}"
    if not os.path.exists(path):
        write(f"{path}.partial")
        os.rename(f"{path}.partial", path)
    return path


def copy_image(image: ImageManifest, folder: str) -> ImageManifest:
    """Return a copy of an image, for a guest that writes to it."""
    words = ["cp", "-r", "--reflink=auto", "--sparse=always", os.path.dirname(image.image), folder]
    subprocess.run(words, check=True)
    return require_manifest(folder)


def _key(options: Sequence[str]) -> str:
    digest = hashlib.sha256(json.dumps(options).encode())
    for path in sorted(_sources()):
        digest.update(path.encode())
        with open(os.path.join(ROOT, path), "rb") as file:
            digest.update(file.read())
    for option in options:
        if os.path.isfile(option):
            with open(option, "rb") as file:
                digest.update(file.read())
    return digest.hexdigest()[:20]


def _sources() -> Iterator[str]:
    for top in ("launcher", "tests/programs"):
        for place, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if name.endswith((".py", ".tsv")):
                    yield os.path.relpath(os.path.join(place, name), ROOT)


def _drop_oldest(cache: str) -> None:
    found = [os.path.join(cache, name) for name in os.listdir(cache)]
    folders = sorted((path for path in found if os.path.isdir(path)), key=os.path.getmtime)
    for path in folders[: max(0, len(folders) - KEPT + 1)]:
        shutil.rmtree(path)
        for other in glob.glob(f"{path}.*"):
            os.unlink(other)
