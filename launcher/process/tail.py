"""Read a log from its end on, through rotations. Never waits: what is not there yet comes later."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.spec import LogSpec

BLOCK = 65_536
FARTHEST = 4_000_000  # bytes read backwards at most to find the last lines: disks are not for free
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Tail:
    """A place in a log. `read` moves it on, from a rotated file to the one that came after it."""

    def __init__(self, spec: LogSpec, lines: int) -> None:
        """Begin so many lines before the end.

        Raises:
            OSError: the log cannot be read.
        """
        self._spec = spec
        self._descriptor = os.open(spec.path, FLAGS)
        self._offset = _find_last_lines(self._descriptor, lines)

    def read(self) -> bytes:
        """Return the next piece; empty where there is none now, or a disk cannot be read."""
        try:
            while not (data := os.pread(self._descriptor, BLOCK, self._offset)):
                if not self._move_on():
                    return b""
        except OSError:
            return b""
        self._offset += len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _move_on(self) -> bool:
        """Go to the file that came after this one; tell whether there is anything new to read."""
        here = os.fstat(self._descriptor)
        if here.st_size < self._offset:  # emptied in place: `log_keep = 0`
            self._offset = 0
            return here.st_size > 0
        successor = self._find_successor(here.st_ino)
        if successor is None:
            return False
        try:
            descriptor = os.open(successor, FLAGS)
        except OSError:
            return False  # it is being rotated: next time
        os.close(self._descriptor)
        self._descriptor, self._offset = descriptor, 0
        return True

    def _find_successor(self, inode: int) -> str | None:
        """Return the log that was begun after the one with this inode; None: there is none yet."""
        path = self._spec.path
        newer: str | None = None
        for name in (path, *(f"{path}.{number}" for number in range(1, self._spec.keep + 1))):
            try:
                found = os.lstat(name).st_ino
            except OSError:
                continue
            if found == inode:
                return newer
            newer = name
        return newer  # ours has fallen off the end: the oldest that is left


def _find_last_lines(descriptor: int, lines: int) -> int:
    """Return the offset at which so many last lines begin."""
    end = os.fstat(descriptor).st_size
    if lines <= 0:
        return end
    start, found = end, 0
    while start > 0 and end - start < FARTHEST:
        size = min(BLOCK, start)
        block = os.pread(descriptor, size, start - size)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            # The newline that ends the last line begins no other.
            found += start - size + at + 1 < end
            if found == lines:
                return start - size + at + 1
        start -= size
    return start
