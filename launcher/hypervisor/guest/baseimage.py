"""The base image of guests: VLLMD_CLOUD_IMAGE, a path or the name of a distribution.

Nothing is downloaded. A name stands for the file that its distributor offers under, which is
looked for in `<state_dir>/images`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from typing import BinaryIO

from launcher.config.reader import Refusal
from launcher.config.suggest import render_hint
from launcher.errors import HostError
from launcher.hypervisor.files import write_atomic_by

# File names on cloud-images.ubuntu.com and cloud.debian.org; {} is the architecture.
KNOWN = {
    "Ubuntu 22.04": "jammy-server-cloudimg-{}.img",
    "Ubuntu 24.04": "noble-server-cloudimg-{}.img",
    "Debian 12": "debian-12-genericcloud-{}.qcow2",
    "Debian 13": "debian-13-genericcloud-{}.qcow2",
}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
QCOW2_MAGIC = b"QFI\xfb"
IMAGE_MODE = 0o600
FICLONE = 0x40049409  # linux/fs.h: share the blocks of a file, where the file system can
NO_CLONE = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM}
CHUNK = 16 << 20


def is_path(text: str) -> bool:
    """Tell whether a base image is named by its path."""
    return "/" in text or re.search(r"\.(img|raw|qcow2)$", text) is not None


def base_image_path(text: str, state_dir: str, machine: str) -> str:
    """Return where a base image is expected; `machine` is the one of uname(1).

    Raises:
        Refusal: it is no path, and no known name.
    """
    if is_path(text):
        return os.path.abspath(text)
    folded = " ".join(text.split()).casefold()
    for name, file in KNOWN.items():
        if name.casefold() == folded:
            return f"{state_dir}/images/{file.format(ARCHITECTURES.get(machine, machine))}"
    raise Refusal(f"'{text}' is no path, and no known base image", render_hint(text, KNOWN))


def own_image_path(base: str, folder: str) -> str:
    """Return where a guest's copy of a base image goes; the name says the format to a VMM.

    Raises:
        HostError: the base image cannot be read.
    """
    try:
        with _open(base) as file:
            kind = "qcow2" if file.read(len(QCOW2_MAGIC)) == QCOW2_MAGIC else "img"
    except OSError as error:
        raise _unusable(base, error) from None
    return f"{folder}/system.{kind}"


def copy_image(base: str, target: str, owner: tuple[int, int] | None = None) -> None:
    """Copy a base image; its blocks are shared where the file system can.

    `owner` is a user's and a group's number; None leaves the copy to be ours.

    Raises:
        HostError: it cannot be read, or the copy not be written.
    """
    try:
        with _open(base) as source:
            write_atomic_by(target, lambda copy: _copy(source, copy), IMAGE_MODE, owner)
    except OSError as error:
        raise _unusable(base, error) from None


def _open(base: str) -> BinaryIO:
    """Open a base image; through a link only if it is root's or ours.

    The guests' user gets the copy, and may write where the image is looked for: a link of theirs
    could lead to what only root may read.

    Raises:
        OSError: it cannot be opened.
        HostError: it is a link of somebody else.
    """
    try:
        descriptor = os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    else:
        return open(descriptor, "rb")
    if os.lstat(base).st_uid not in {0, os.geteuid()}:
        raise HostError(
            f"the base image '{base}' is a link of somebody else", "name the file it leads to"
        )
    return open(base, "rb")


def _copy(source: BinaryIO, copy: BinaryIO) -> None:
    try:
        fcntl.ioctl(copy, FICLONE, source.fileno())
    except OSError as error:
        if error.errno not in NO_CLONE:
            raise
    else:
        return
    with contextlib.suppress(OSError):
        os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
    while chunk := source.read(CHUNK):
        if chunk.count(0) == len(chunk):
            copy.seek(len(chunk), os.SEEK_CUR)  # a hole
        else:
            copy.write(chunk)
    copy.truncate()


def _unusable(base: str, error: OSError) -> HostError:
    reason = (error.strerror or str(error)).lower()
    return HostError(
        f"the base image '{base}' cannot be copied: {reason}",
        "correct VLLMD_CLOUD_IMAGE, or make room",
    )
