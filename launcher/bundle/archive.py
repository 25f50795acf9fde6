"""Read a bundle's tar: checksums, texts, and its files into a folder."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import lzma
import os
import tarfile
import zlib

from launcher.bundle.errors import BundleError
from launcher.bundle.members import FILE, FOLDER, Member, plan_members
from launcher.bundle.model import LOCK, MANIFESTS, PACK, REPODATA, Contents, Digest
from launcher.bundle.progress import render_size
from launcher.bundle.tarball import CHUNK, unreadable
from launcher.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from launcher.bundle.progress import Progress
    from launcher.bundle.tarball import Tarball

# The most that is read at once. A tar may announce a name of many gigabytes; those it compresses
# to nothing.
LONGEST_READ = 64 << 20
LONGEST_TEXT = 512 << 20  # bytes of a manifest, lock or index
MODE_FILE, MODE_PROGRAM = 0o644, 0o755
MAGIC = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
ZSTD = b"\x28\xb5\x2f\xfd"
BROKEN = (tarfile.TarError, EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)
KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}


class _Bounded:
    """A file that is never read far at once, as a header of a tar might ask for."""

    def __init__(self, file: IO[bytes], path: str) -> None:
        self._file = file
        self._path = path
        self.tell = file.tell

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        with _told(self._path):
            return self._file.seek(place, whence)

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LONGEST_READ:
            raise tarfile.ReadError("an entry's header is absurdly long")
        with _told(self._path):
            return self._file.read(size)


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Tell what the disk, or a decompressor, says of the tar; others say it of what we write."""
    try:
        yield
    except gzip.BadGzipFile:
        raise
    except OSError as error:
        raise unreadable(path, error) from None


def hash_md5(path: str) -> str:
    """Return the MD5 of a file: what old locks have."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def read_bundle(
    tarball: Tarball, into: str | None, progress: Progress | None = None, *, md5: bool = False
) -> Contents:
    """Read a whole tar; with `into`, an empty folder, write its files there.

    Raises:
        BundleError: it is no tar, broken, or holds what would leave the folder.
        HostError: there is no room for it.
    """
    with _opened(tarball) as tar:
        members = [_member(info) for info in _entries(tar, into)]
        targets = plan_members(members)
        total = sum(each.size for each in members)
        done = 0
        files: dict[str, Digest] = {}
        texts: dict[str, str] = {}
        for info in tar:
            target = targets.get(info.name)
            if target is not None and info.isreg():
                files[target] = _read_member(tar, info, target, into, texts, md5=md5)
                done += info.size
                if progress is not None:
                    progress.bytes_done(done, total)
    return Contents(files=files, texts=texts)


@contextlib.contextmanager
def _opened(tarball: Tarball) -> Iterator[tarfile.TarFile]:
    path, raw = tarball.path, tarball.file
    raw.seek(0)
    start = raw.read(6)
    raw.seek(0)
    if start.startswith(ZSTD):
        raise BundleError(f"the bundle '{path}' is compressed by zstd", "run unzstd on it")
    opener = next((MAGIC[each] for each in MAGIC if start.startswith(each)), None)
    file: IO[bytes] = opener(raw) if opener else raw  # type: ignore[operator]
    try:
        with tarfile.open(fileobj=_Bounded(file, path), mode="r:") as tar:  # type: ignore[call-overload]
            yield tar
    except BROKEN as error:
        text = str(error)
        reason = text[:1].lower() + text[1:]  # names of files in it stay what they are
        raise BundleError(
            f"the bundle '{path}' is no tar, or not a whole one: {reason}", "copy it again"
        ) from None


def _entries(tar: tarfile.TarFile, into: str | None) -> Iterator[tarfile.TarInfo]:
    """Yield the headers; stop where there would be no room for what they announce."""
    room = os.statvfs(into) if into is not None else None
    size = count = 0
    for info in tar:
        size, count = size + info.size, count + 1
        if room is not None:
            _require_room(room, size, count)
        yield info


def _require_room(room: os.statvfs_result, size: int, count: int) -> None:
    free = room.f_bavail * room.f_frsize
    if size > free:
        raise HostError(
            f"the bundle needs {render_size(size)} or more, and {render_size(free)} are free",
            "make room, or name a folder on a larger disk",
        )
    if room.f_files and count > room.f_favail:
        raise HostError(
            f"the bundle has {count} files or more, and the disk has room for {room.f_favail}",
            "name a folder on another disk",
        )


def _member(info: tarfile.TarInfo) -> Member:
    if info.isdir():
        return Member(name=info.name, kind=FOLDER)
    plain = info.isreg() and not info.issparse()
    kind = FILE if plain else KINDS.get(info.type, "no plain file")
    return Member(name=info.name, kind=kind, size=info.size)


def _read_member(  # noqa: PLR0913  (one entry and where it goes)
    tar: tarfile.TarFile,
    info: tarfile.TarInfo,
    target: str,
    into: str | None,
    texts: dict[str, str],
    *,
    md5: bool,
) -> Digest:
    name = target.rpartition("/")[2]
    is_text = target in {*MANIFESTS, LOCK, PACK} or name == REPODATA
    if is_text and info.size > LONGEST_TEXT:
        raise BundleError(f"'{target}' in the bundle is absurdly long", "make the bundle again")
    digest, old = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    kept = bytearray()
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(_create(into, target, info)) if into is not None else None
        for chunk in _chunks(tar, info):
            digest.update(chunk)
            if md5:
                old.update(chunk)
            if output is not None:
                output.write(chunk)
            if is_text:
                kept += chunk
    if is_text:
        try:
            texts[target] = kept.decode("utf-8")
        except UnicodeDecodeError:
            raise BundleError(f"'{target}' in the bundle is no text", "make it again") from None
    return Digest(size=info.size, sha256=digest.hexdigest(), md5=old.hexdigest() if md5 else "")


def _chunks(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    source = tar.extractfile(info)
    left = info.size
    while left and source is not None:
        chunk = source.read(min(CHUNK, left))
        if not chunk:
            raise tarfile.ReadError(f"'{info.name}' ends too soon")
        left -= len(chunk)
        yield chunk


def _create(into: str, target: str, info: tarfile.TarInfo) -> IO[bytes]:
    path = os.path.join(into, target)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # Nothing of ours is a link, and nothing is overwritten: whoever put one here is not followed.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    mode = MODE_PROGRAM if info.mode & 0o111 else MODE_FILE
    return os.fdopen(os.open(path, flags, mode), "wb")
