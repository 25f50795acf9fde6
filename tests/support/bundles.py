"""Bundles of real conda packages, built by py-rattler's indexer, offline."""

from __future__ import annotations

import asyncio
import base64
import bz2
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.bundle.plan import PLATFORMS
from tests.support.commands import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PLATFORM = PLATFORMS[os.uname().machine]
PYTHON = "3.11.9"
SITE = "lib/python3.11/site-packages"
PLACEHOLDER = "/opt/placeholder_placeholder_placeholder"  # what a prefix takes the place of
ELSEWHERE = "/build/project"  # where the lock was made
MANIFEST = """\
# the project
[workspace]
name = "project"
channels = ["conda-forge", "nvidia"]  # online
platforms = ["linux-64", "linux-aarch64"]

[dependencies]
python = "3.11.*"
"""


@dataclass(frozen=True)
class Bundle:
    """The files of a bundle, which a test may change before the tar is written."""

    files: Mapping[str, bytes]
    extra: tuple[tuple[tarfile.TarInfo, bytes], ...] = field(default=())

    def with_file(self, path: str, data: bytes | str) -> Bundle:
        """Return a bundle with a file added or replaced."""
        raw = data.encode() if isinstance(data, str) else data
        return replace(self, files={**self.files, path: raw})

    def without(self, *starts: str) -> Bundle:
        """Return a bundle without the files whose paths start so."""
        return replace(
            self, files={k: v for k, v in self.files.items() if not k.startswith(starts)}
        )

    def with_member(self, info: tarfile.TarInfo, data: bytes = b"") -> Bundle:
        """Return a bundle with one more entry in its tar, whatever it is."""
        info.size = len(data)
        return replace(self, extra=(*self.extra, (info, data)))

    def edit(self, path: str, change: Callable[[str], str]) -> Bundle:
        """Return a bundle with a text changed."""
        return self.with_file(path, change(self.files[path].decode()))

    def package(self, name: str) -> str:
        """Return the path of a package's file."""
        return next(path for path in self.files if os.path.basename(path).startswith(f"{name}-"))

    def write(self, path: Path, mode: str = "w", top: str = "") -> Path:
        """Write the tar."""
        with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
            for name, data in sorted(self.files.items()):
                info = tarfile.TarInfo(top + name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            for info, data in self.extra:
                tar.addfile(info, io.BytesIO(data))
        return path


def sha256_of(path: Path) -> str:
    """Return the checksum of a tar."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_package(  # noqa: PLR0913  (all by name)
    channel: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    noarch: bool = False,
    depends: Sequence[str] = (),
) -> Path:
    """Write a conda package; text that has the placeholder gets the prefix.

    Of the newer format (`.conda`) where it is for every platform, of the older where it is not.
    """
    build, subdir = ("py_0", "noarch") if noarch else ("h1_0", PLATFORM)
    about = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": 0,
        "depends": list(depends),
        "subdir": subdir,
        **({"noarch": "python"} if noarch else {}),
    }
    paths = {"paths_version": 1, "paths": [_path_entry(*item) for item in files.items()]}
    info = {
        "info/index.json": json.dumps(about).encode(),
        "info/paths.json": json.dumps(paths).encode(),
    }
    path = channel / subdir / f"{name}-{version}-{build}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if noarch:
        return _write_conda(path, info, files)
    path = path.with_name(f"{path.name}.tar.bz2")
    path.write_bytes(bz2.compress(_tar({**info, **files})))
    return path


def _write_conda(path: Path, info: Mapping[str, bytes], files: Mapping[str, bytes]) -> Path:
    import zstandard  # noqa: PLC0415  (in the process that builds packages)

    compress = zstandard.ZstdCompressor().compress
    whole = path.with_name(f"{path.name}.conda")
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        archive.writestr(f"pkg-{path.name}.tar.zst", compress(_tar(files)))
        archive.writestr(f"info-{path.name}.tar.zst", compress(_tar(info)))
    return whole


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for each, data in files.items():
            entry = tarfile.TarInfo(each)
            entry.size, entry.mode = len(data), 0o755 if each.startswith("bin/") else 0o644
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _path_entry(path: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {
        "_path": path,
        "path_type": "hardlink",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_in_bytes": len(data),
    }
    if PLACEHOLDER.encode() in data:
        entry |= {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
    return entry


def make_channel(channel: Path, marker: str, ballast: int, python: str) -> None:
    """Write a channel with a Python that is one of this machine, and a package for it.

    `marker` is what the package says; `ballast` are bytes that nothing compresses.
    """
    program = f'#!/bin/sh\n# {PLACEHOLDER}\nexec {python} "$@"\n'.encode()
    make_package(channel, "python", PYTHON, {"bin/python": program, "bin/python3.11": program})
    files = {"site-packages/stubmodel/__init__.py": f'MARKER = "{marker}"\n'.encode()}
    if ballast:
        files["site-packages/stubmodel/ballast"] = os.urandom(ballast)
    make_package(channel, "stubmodel", "1.0", files, noarch=True, depends=["python"])
    from rattler import index  # noqa: PLC0415  (the tests that use it say so)

    asyncio.run(index.index_fs(channel, write_zst=False, write_shards=False))


def make_lock(channel: Path, path: Path, root: str = ELSEWHERE) -> None:
    """Write the lock of a project whose channel was in `root`."""
    from rattler import Channel, LockChannel, LockFile, LockPlatform, RepoData  # noqa: PLC0415

    platform = LockPlatform(PLATFORM)
    address = f"file://{root}/channel/"
    lock = LockFile([platform])
    lock.set_channels("default", [LockChannel(address)])
    for subdir in (PLATFORM, "noarch"):
        data = RepoData.from_path(channel / subdir / "repodata.json")
        for each in data.into_repo_data(Channel(address)):
            lock.add_conda_package("default", platform, each)
    lock.to_path(path)


def make_bundle(
    folder: Path, marker: str = "one", ballast: int = 0, python: str = sys.executable
) -> Bundle:
    """Make a bundle with a project: its manifest names online channels, its lock another folder.

    In a process of its own: py-rattler's threads may crash at the end of an interpreter.
    """
    words = (str(folder), marker, str(ballast), python)
    subprocess.run([sys.executable, "-m", __name__, *words], cwd=ROOT, check=True)
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lockfile")
    return Bundle({str(path.relative_to(folder)): path.read_bytes() for path in paths})


def write_project(folder: Path, marker: str, ballast: int, python: str) -> None:
    """Write the files of a bundle."""
    channel = folder / "channel"
    make_channel(channel, marker, ballast, python)
    make_lock(channel, folder / "pixi.lock")
    (folder / "pixi.toml").write_text(MANIFEST)
    (folder / "pixi-pack.json").write_text(
        json.dumps({"version": "1", "pixi-pack-version": "0.7.10", "platform": PLATFORM})
    )


def make_wheel(name: str = "wheelmodel", version: str = "2.0") -> tuple[str, bytes]:
    """Return the name and the bytes of a wheel with one module and one command."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": b"def main():\n    print('from a wheel')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n".encode(),
    }
    lines = [f"{path},sha256={_record_hash(data)},{len(data)}" for path, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join((*lines, f"{info}/RECORD,,", "")).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return f"{name}-{version}-py3-none-any.whl", buffer.getvalue()


def _record_hash(data: bytes) -> str:

    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    write_project(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
    os._exit(0)
