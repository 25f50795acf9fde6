"""Files that are whole or not there: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

TRIES = 100


def write_atomic(
    path: str,
    content: bytes,
    mode: int = 0o600,
    owner: tuple[int, int] | None = None,
    *,
    is_durable: bool = True,
) -> None:
    """Write a file with these permission bits, whatever the umask; an old one is replaced.

    `owner` is a user's and a group's number; None leaves the file to be ours. Where it is not
    durable, nobody waits for the disk.

    Raises:
        OSError: the folder is missing, read-only or full; the old file is as it was.
    """
    write_atomic_by(path, lambda stream: stream.write(content), mode, owner, is_durable=is_durable)


def write_atomic_by(
    path: str,
    write: Callable[[BinaryIO], object],
    mode: int = 0o600,
    owner: tuple[int, int] | None = None,
    *,
    is_durable: bool = True,
) -> None:
    """Write a file by a function that is given an open stream; as `write_atomic` does.

    Raises:
        OSError: the folder is missing, read-only or full; the old file is as it was.
    """
    folder, name = os.path.split(path)
    descriptor, hidden = _make_file(folder or ".", name)
    try:
        with open(descriptor, "wb") as stream:
            write(stream)
            stream.flush()
            # Before it has its name: in a folder of that owner, the name may come to mean
            # another file at any moment, which root would then give away.
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            if is_durable:
                os.fsync(descriptor)
        os.rename(hidden, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(hidden)
        raise


def _make_file(folder: str, name: str) -> tuple[int, str]:
    """Make a new file, 0600, never through somebody's symlink; return it opened, and its path.

    As `tempfile.mkstemp`, whose import alone is a tenth of the start of a guest.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(TRIES):
        hidden = os.path.join(folder, f".{name}.{os.urandom(6).hex()}")
        with contextlib.suppress(FileExistsError):
            return os.open(hidden, flags, 0o600), hidden
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), folder)
