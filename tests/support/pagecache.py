"""The page cache: what of a file is in it, and how to get that out."""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import TYPE_CHECKING

from tests.support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)


def write_uncached(path: Path, size: int) -> Path:
    """Write a file that is on the disk, and not in the page cache."""
    with path.open("wb") as file:
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())
    wait_until(lambda: drop(path) == 0, f"'{path}' to leave the page cache")
    return path


def drop(path: Path) -> float:
    """Have the kernel forget a file's pages; return the share of them that it has kept."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return cached_share(path)


def is_cached(path: Path) -> bool:
    """Tell whether a file has been read: the kernel takes single pages back whenever it likes."""
    return cached_share(path) > 0.5


def cached_share(path: Path) -> float:
    """Return the share of a file's pages that are in the page cache (mincore(2))."""
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        with mmap.mmap(file.fileno(), size) as mapped:
            start = ctypes.c_char.from_buffer(mapped)
            pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
            address = ctypes.c_void_p(ctypes.addressof(start))
            code = LIBC.mincore(address, ctypes.c_size_t(size), pages)
            number = ctypes.get_errno()
            del start  # the mapping can be closed only when nothing points into it
    if code:
        raise OSError(number, os.strerror(number))
    return sum(page & 1 for page in pages) / len(pages)
