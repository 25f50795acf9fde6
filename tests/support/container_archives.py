"""Container image tarballs, written as `docker save` does: layers, a configuration, a manifest."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONFIG = "config.json"


def write_layer(path: str, members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> None:
    """Write a layer of the given members."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))


def file(name: str, content: bytes = b"", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    """Return a file as a member of a layer."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    return info, content


def folder(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    """Return a folder as a member of a layer."""
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, mode
    return info, b""


def link(name: str, target: str, *, hard: bool = False) -> tuple[tarfile.TarInfo, bytes]:
    """Return a link as a member of a layer."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.LNKTYPE if hard else tarfile.SYMTYPE
    info.linkname = target
    return info, b""


def write_docker_archive(
    path: str, layers: Sequence[str], env: Mapping[str, str], architecture: str = "amd64"
) -> None:
    """Write what `docker save` writes, from layers that are files."""
    names = [f"layer{number}.tar" for number, _ in enumerate(layers)]
    config = {
        "architecture": architecture,
        "config": {"Env": [f"{name}={value}" for name, value in env.items()]},
    }
    manifest = [{"Config": CONFIG, "RepoTags": ["test:latest"], "Layers": names}]
    with tarfile.open(path, "w") as archive:
        for name, layer in zip(names, layers, strict=True):
            archive.add(layer, name)
        for name, value in ((CONFIG, config), ("manifest.json", manifest)):
            archive.addfile(*_json(name, value))


def write_oci_archive(path: str, layers: Sequence[str], env: Mapping[str, str]) -> None:
    """Write what `podman save --format oci-archive` writes, with digests that nobody checks."""
    digests = [f"sha256:{number:064x}" for number, _ in enumerate(layers)]
    config = {
        "architecture": "amd64",
        "config": {"Env": [f"{name}={value}" for name, value in env.items()]},
    }
    manifest = {
        "config": {"digest": f"sha256:{'c' * 64}"},
        "layers": [{"digest": each} for each in digests],
    }
    index = {"manifests": [{"digest": f"sha256:{'a' * 64}"}]}
    with tarfile.open(path, "w") as archive:
        for digest, layer in zip(digests, layers, strict=True):
            archive.add(layer, f"blobs/{digest.replace(':', '/')}")
        archive.addfile(*_json(f"blobs/sha256/{'c' * 64}", config))
        archive.addfile(*_json(f"blobs/sha256/{'a' * 64}", manifest))
        archive.addfile(*_json("index.json", index))


def _json(name: str, value: object) -> tuple[tarfile.TarInfo, io.BytesIO]:
    data = json.dumps(value).encode()
    info, _ = file(name, data)
    return info, io.BytesIO(data)
