"""Unpack the layers of a container image on top of each other, as its engine would.

For a process that has changed its root into the target folder: there, no name in an archive, and
no link in a layer below, can lead out of it.

Whiteouts are OCI's (image-spec, "Image Layer Filesystem Changeset"): `.wh.NAME` removes NAME of the
layers below, `.wh..wh..opq` all that a folder held before.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import stat

from launcher.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import tarfile
    from typing import IO

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
XATTR = "SCHILY.xattr."
CHUNK = 1 << 20


class LayerError(HostError):
    """A layer cannot be unpacked."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the layer's entry '{name}' cannot be unpacked: {reason}")


class Layer:
    """One archive that is being unpacked into /.

    With `keep_links`, a folder of the archive does not replace a link to a folder, as package
    managers do it: `lib` stays a link to `usr/lib`.
    """

    def __init__(
        self, archive: tarfile.TarFile, prefix: str = "/", *, keep_links: bool = False
    ) -> None:
        self._archive = archive
        self._prefix = prefix
        self._keep_links = keep_links
        self._added: set[str] = set()
        self._folders: list[tuple[str, tarfile.TarInfo]] = []

    def unpack(self) -> None:
        """Unpack all of it.

        Raises:
            HostError: an entry is malformed, or the disk is full.
        """
        for member in self._archive:
            try:
                self._unpack(member)
            except OSError as error:
                raise LayerError(member.name, (error.strerror or str(error)).lower()) from None
        for path, member in reversed(self._folders):
            _stamp(path, member)

    def _unpack(self, member: tarfile.TarInfo) -> None:
        path = self._path_of(member.name)
        folder, name = posixpath.split(path)
        if name == OPAQUE:
            self._empty(folder)
        elif name.startswith(WHITEOUT):
            _remove(posixpath.join(folder, name.removeprefix(WHITEOUT)))
        elif path == "/" or member.ischr() or member.isblk():
            return  # /dev is the kernel's in a guest
        else:
            os.makedirs(folder, exist_ok=True)
            if not self._stays(path, member):
                _remove(path)
            self._create(path, member)
            self._added.add(path)

    def _path_of(self, name: str) -> str:
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if ".." in parts or "\0" in name:
            raise LayerError(name, "its name leads out of the image")
        return posixpath.join(self._prefix, *parts)

    def _stays(self, path: str, member: tarfile.TarInfo) -> bool:
        """Tell whether what is at this path is a folder that the archive's folder adds to."""
        if not member.isdir():
            return False
        if self._keep_links and os.path.isdir(path):
            return True
        return os.path.isdir(path) and not os.path.islink(path)

    def _create(self, path: str, member: tarfile.TarInfo) -> None:
        if member.isdir():
            if not os.path.isdir(path):
                os.mkdir(path)
            self._folders.append((path, member))  # stamped last: files in it change its time
            return
        if member.issym():
            os.symlink(member.linkname, path)
        elif member.islnk():
            os.link(self._path_of(member.linkname), path, follow_symlinks=False)
            return
        elif member.isfifo():
            os.mkfifo(path)
        else:
            self._write(path, member)
        _stamp(path, member)

    def _write(self, path: str, member: tarfile.TarInfo) -> None:
        source: IO[bytes] | None = self._archive.extractfile(member)
        if source is None:
            raise LayerError(member.name, "it is neither file, folder nor link")
        with source, open(path, "xb") as target:
            shutil.copyfileobj(source, target, CHUNK)

    def _empty(self, folder: str) -> None:
        """Remove what layers below have put into a folder, and leave what this layer has."""
        if not os.path.isdir(folder) or os.path.islink(folder):
            return
        for entry in os.listdir(folder):
            path = posixpath.join(folder, entry)
            if path not in self._added:
                _remove(path)


def _remove(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _stamp(path: str, member: tarfile.TarInfo) -> None:
    """Give a file its owner, mode, attributes and time, in the order in which they stay."""
    if os.path.islink(path) and not member.issym():
        return
    os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        os.chmod(path, member.mode & 0o7777)
        for key, value in member.pax_headers.items():
            if key.startswith(XATTR):
                data = value.encode("utf-8", "surrogateescape")
                os.setxattr(path, key.removeprefix(XATTR), data, follow_symlinks=False)
    os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)
