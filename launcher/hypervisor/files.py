"""Files that are whole or not there: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable


def write_atomic(
    path: str, content: bytes, mode: int = 0o600, owner: tuple[int, int] | None = None
) -> None:
    """Write a file with these permission bits, whatever the umask; an old one is replaced.

    `owner` is a user's and a group's number; None leaves the file to be ours.

    Raises:
        OSError: the folder is missing, read-only or full; the old file is as it was.
    """
    write_atomic_by(path, lambda stream: stream.write(content), mode, owner)


def write_atomic_by(
    path: str,
    write: Callable[[BinaryIO], object],
    mode: int = 0o600,
    owner: tuple[int, int] | None = None,
) -> None:
    """Write a file by a function that is given an open stream; as `write_atomic` does.

    Raises:
        OSError: the folder is missing, read-only or full; the old file is as it was.
    """
    folder, name = os.path.split(path)
    # mkstemp: a new file, 0600, never through somebody's symlink.
    descriptor, hidden = tempfile.mkstemp(prefix=f".{name}.", dir=folder or ".")
    try:
        with open(descriptor, "wb") as stream:
            write(stream)
            stream.flush()
            # Before it has its name: in a folder of that owner, the name may come to mean
            # another file at any moment, which root would then give away.
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.rename(hidden, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(hidden)
        raise
