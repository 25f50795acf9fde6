"""The seed disk: a small ISO9660 image from which a guest learns who it is.

Cloud-init's NoCloud source takes a file system labelled `CIDATA` with `user-data`, `meta-data`
and `network-config` at its root (docs.cloud-init.io, "NoCloud"). Interchange level 3 knows no
hyphens in names: they are in the Joliet and Rock Ridge names, which Linux reads first.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pycdlib
from pycdlib.pycdlibexception import PyCdlibException

from launcher.errors import HostError
from launcher.hypervisor.files import write_atomic_by
from launcher.hypervisor.model import SEED_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

SEED_MODE = 0o600  # of the image: a seed may hold secrets
FILE_MODE = 0o100400  # of the files in it, as the guest sees them: a regular file, root's own
NAME_LIMIT = 64  # characters of a name in Joliet
PLAIN_LIMIT = 29  # of an identifier at interchange level 3, besides its dot


def write_seed_image(
    path: str, files: Mapping[str, bytes], owner: tuple[int, int] | None = None
) -> None:
    """Write an image with these files at its root, mode 0600; an old image is replaced at once.

    `owner` is a user's and a group's number; None leaves the image to be ours.

    Raises:
        OSError: the image cannot be written; an old one is as it was.
        ValueError: a name is empty, has a slash, or more than 64 characters.
    """
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, vol_ident=SEED_LABEL, joliet=3, rock_ridge="1.09")
    try:
        for number, (name, content) in enumerate(sorted(files.items())):
            if not name or "/" in name or len(name) > NAME_LIMIT:
                raise ValueError(f"'{name}' is no name of a file at the root of a seed")
            image.add_fp(
                io.BytesIO(content),
                len(content),
                iso_path=f"/{_plain_name(name, number)};1",
                rr_name=name,
                joliet_path=f"/{name}",
                file_mode=FILE_MODE,
            )
        write_atomic_by(path, image.write_fp, SEED_MODE, owner)
    finally:
        image.close()


def read_seed_image(path: str) -> dict[str, bytes]:
    """Return the files at the root of an image, by their names.

    Raises:
        HostError: there is no such file, or it is no seed image.
    """
    image = pycdlib.PyCdlib()
    try:
        image.open(path)
    except (OSError, PyCdlibException) as error:
        raise HostError(
            f"'{path}' is no seed image: {_reason(error)}",
            "write it again by 'vllmd-hypervisor generate-init'",
        ) from error
    try:
        return _read_files(image)
    finally:
        image.close()


def find_seed_files(path: str) -> dict[str, bytes] | None:
    """Return the files of an image; None where there is no image that can be read."""
    try:
        return read_seed_image(path)
    except HostError:
        return None


def _read_files(image: pycdlib.PyCdlib) -> dict[str, bytes]:
    files = {}
    for child in image.list_children(joliet_path="/"):
        if not child.is_file():
            continue
        name = child.file_identifier().decode("utf-16_be")
        stream = io.BytesIO()
        image.get_file_from_iso_fp(stream, joliet_path=f"/{name}")
        files[name] = stream.getvalue()
    return files


def _plain_name(name: str, number: int) -> str:
    """Return an ISO9660 identifier for a name: capitals, digits and underscores, and no twin."""
    return f"F{number}_{re.sub('[^A-Z0-9]', '_', name.upper())}"[:PLAIN_LIMIT] + "."


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return (text or "unreadable")[:1].lower() + (text or "unreadable")[1:]
