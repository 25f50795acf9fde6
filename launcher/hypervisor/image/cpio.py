"""The archive of an initial RAM file system: "newc", as the kernel unpacks it. Pure.

Format: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.
"""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC = b"070701"
TRAILER = "TRAILER!!!"
BLOCK = 4
FILE, FOLDER, DEVICE = 0o100000, 0o040000, 0o020000
NAME_LIMIT = 4096  # PATH_MAX


@record
class Entry:
    """A file, folder or character device. `device` is its major and minor number."""

    name: str  # relative, without a leading slash
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(name: str) -> Entry:
    """Return a folder that everybody may read."""
    return Entry(name=name, mode=FOLDER | 0o755)


def file(name: str, content: bytes, *, executable: bool = False) -> Entry:
    """Return a file that everybody may read."""
    return Entry(name=name, mode=FILE | (0o755 if executable else 0o644), content=content)


def console() -> Entry:
    """Return /dev/console, which the kernel opens before any file system is mounted."""
    return Entry(name="dev/console", mode=DEVICE | 0o600, device=(5, 1))


def render_archive(entries: Iterable[Entry]) -> bytes:
    """Render an archive: the same entries give the same bytes.

    Raises:
        ValueError: a name is absolute, empty or too long.
    """
    chunks = [_render(number, each) for number, each in enumerate(entries, start=1)]
    chunks.append(_render(0, Entry(name=TRAILER, mode=0)))
    return b"".join(chunks)


def _render(number: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    if name[:1] in {b"/", b"\0"} or len(name) > NAME_LIMIT:
        raise ValueError(f"'{entry.name}' cannot be in an archive")
    links = 2 if entry.mode & 0o170000 == FOLDER else 1
    # inode, mode, uid, gid, links, mtime, size, device (2), what a device file is (2), name, check
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, *entry.device,
              len(name), 0)  # fmt: skip
    head = MAGIC + b"".join(b"%08X" % field for field in fields)
    return _padded(head + name) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)
