"""`image.json`, beside a system image: which kernel it boots with, and how.

`vllmd-hypervisor image build` writes it, `start` reads it where the environment does not say.
Names of files are relative to the manifest's own folder, so that the folder can be moved.
"""

from __future__ import annotations

import json
import os

from launcher.errors import HostError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MANIFEST_NAME = "image.json"
VERSION = 1

MINIMAL = "minimal"
DEBIAN = "debian"
FLAVOURS = (MINIMAL, DEBIAN)

EXT4 = "ext4"
EROFS = "erofs"
FILESYSTEMS = (EROFS, EXT4)


@record
class ImageManifest:
    """What was built. `kernel`, `initramfs` and `image` are absolute paths once it is read.

    A `readonly` image is to be attached so: several guests may then run from the same file.
    """

    kernel: str
    initramfs: str
    image: str
    flavour: str
    filesystem: str
    cmdline: str
    readonly: bool = False
    launcher_version: str = ""
    source: str = ""  # what the root came from, for people


def render_manifest(manifest: ImageManifest) -> str:
    """Render the file; the three paths become names in its folder."""
    values: dict[str, Any] = {"v": VERSION}
    values |= {name: getattr(manifest, name) for name in _fields()}
    for name in ("kernel", "initramfs", "image"):
        values[name] = os.path.basename(values[name])
    return json.dumps(values, indent=2) + "\n"


def find_manifest(image_path: str) -> ImageManifest | None:
    """Return the manifest beside a system image, if there is one and it is about this image.

    Raises:
        HostError: the file is there, and is not such a manifest.
    """
    folder = os.path.dirname(os.path.abspath(image_path))
    manifest = _read(os.path.join(folder, MANIFEST_NAME))
    if manifest is None or os.path.realpath(manifest.image) != os.path.realpath(image_path):
        return None
    return manifest


def require_manifest(folder: str) -> ImageManifest:
    """Return the manifest in a folder that `image build` has written.

    Raises:
        HostError: there is none.
    """
    manifest = _read(os.path.join(os.path.abspath(folder), MANIFEST_NAME))
    if manifest is None:
        raise HostError(
            f"'{folder}' holds no image",
            f"build one with: vllmd-hypervisor image build --output {folder}",
        )
    return manifest


def _read(path: str) -> ImageManifest | None:
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "no JSON").lower()
        raise HostError(f"'{path}' cannot be read: {reason}", "build the image again") from None
    manifest = _typed(values, os.path.dirname(path))
    if manifest is None:
        raise HostError(
            f"'{path}' is no manifest of this version of vllmd", "build the image again"
        )
    return manifest


def _typed(values: object, folder: str) -> ImageManifest | None:
    if not isinstance(values, dict) or values.get("v") != VERSION:
        return None
    found = {name: values[name] for name in _fields() if name in values}
    texts = [value for name, value in found.items() if name != "readonly"]
    missing = {"kernel", "initramfs", "image", "cmdline", "flavour", "filesystem"} - found.keys()
    if missing or not all(isinstance(text, str) for text in texts):
        return None
    for name in ("kernel", "initramfs", "image"):
        found[name] = os.path.join(folder, found[name])
    found["readonly"] = found.get("readonly") is True
    return ImageManifest(**found)


def _fields() -> tuple[str, ...]:
    names: tuple[str, ...] = ImageManifest.__slots__  # type: ignore[attr-defined]
    return names
