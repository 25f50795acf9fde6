"""A bundle's tar, opened once: what is hashed is what is unpacked, whatever its path names then."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat

from launcher.bundle.errors import BundleError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from launcher.bundle.progress import Progress

CHUNK = 1 << 20  # bytes


@record
class Tarball:
    """An open tar, and what the kernel said of it when it was opened."""

    path: str
    file: IO[bytes]
    status: os.stat_result


@contextlib.contextmanager
def open_tarball(path: str) -> Iterator[Tarball]:
    """Open a bundle's tar.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        # Of a named pipe, nobody waits for the other end.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise unreadable(path, error) from None
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"the bundle '{path}' is not a regular file", "name a tar")
        yield Tarball(path=path, file=file, status=status)


def hash_tarball(tarball: Tarball, progress: Progress) -> str:
    """Return the SHA-256 of a tar, in hexadecimal.

    Raises:
        BundleError: it cannot be read.
    """
    digest = hashlib.sha256()
    file = tarball.file
    try:
        file.seek(0)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            progress.bytes_done(file.tell(), tarball.status.st_size)
    except OSError as error:
        raise unreadable(tarball.path, error) from None
    return digest.hexdigest()


def require_unchanged(tarball: Tarball) -> None:
    """Make sure that nobody has written to a tar, or replaced it, since it was opened.

    Raises:
        BundleError: somebody has.
    """
    if _marks(os.fstat(tarball.file.fileno())) != _marks(tarball.status):
        raise BundleError(
            f"the bundle '{tarball.path}' has changed while it was read",
            "wait until it is complete, then install it again",
        )


def _marks(status: os.stat_result) -> tuple[int, int, int]:
    # Anybody can set the time of the last write (`touch -r`), but nobody that of the last change.
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def unreadable(path: str, error: OSError) -> BundleError:
    """Return the error of a bundle that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return BundleError(f"there is no bundle '{path}'", "correct the path, or mount it there")
    reason = (error.strerror or str(error)).lower()
    return BundleError(f"the bundle '{path}' cannot be read: {reason}", "correct the path")
