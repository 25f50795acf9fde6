"""Container image tarballs: what `docker save`, `podman save` and `docker export` write.

Two layouts: Docker's, with `manifest.json`, and OCI's, with `index.json`. A tarball with neither
is a root file system.
"""

from __future__ import annotations

import json
import os
import tarfile

from launcher.config.secrets import is_secret_name
from launcher.errors import HostError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

DOCKER_MANIFEST = "manifest.json"
OCI_INDEX = "index.json"
LARGEST_JSON = 16 << 20  # bytes
ARCHITECTURE = "amd64"
DEEPEST_INDEX = 4


@record
class ContainerImage:
    """What a tarball holds. Layers are members of it, the lowest first; none: it is the root.

    `withheld` are variables of the image that look like secrets: they stay out of the guest's.
    """

    path: str
    layers: tuple[str, ...] = ()
    environment: Mapping[str, str]
    withheld: tuple[str, ...] = ()


def read_archive(path: str) -> ContainerImage:
    """Look into a tarball.

    Raises:
        HostError: it cannot be read, or holds no image that can be booted here.
    """
    try:
        with tarfile.open(path) as archive:
            return _Reader(path, archive).read()
    except (OSError, tarfile.TarError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "it is no tar archive"
        raise HostError(
            f"'{path}' cannot be read: {reason.lower()}",
            "write one with: docker save -o image.tar NAME",
        ) from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise HostError(
            f"'{path}' holds a container image that cannot be understood",
            "write it with: docker save -o image.tar NAME",
        ) from None


class _Reader:
    def __init__(self, path: str, archive: tarfile.TarFile) -> None:
        self._path = path
        self._archive = archive

    def read(self) -> ContainerImage:
        first = self._archive.next()
        if first is None:
            raise tarfile.ReadError
        names = set(self._archive.getnames())
        if DOCKER_MANIFEST in names:
            return self._read_docker()
        if OCI_INDEX in names:
            return self._read_oci()
        return ContainerImage(path=self._path, environment={})

    def _read_docker(self) -> ContainerImage:
        images = self._json(DOCKER_MANIFEST)
        if len(images) != 1:
            raise self._too_many([tag for each in images for tag in each.get("RepoTags") or ()])
        config = self._json(images[0]["Config"])
        return self._image(tuple(images[0]["Layers"]), config)

    def _read_oci(self) -> ContainerImage:
        index = self._json(OCI_INDEX)
        for _ in range(DEEPEST_INDEX):
            if "manifests" not in index:
                break
            index = self._json(_blob(self._choose(index["manifests"])))
        layers = tuple(_blob(each) for each in index["layers"])
        return self._image(layers, self._json(_blob(index["config"])))

    def _choose(self, manifests: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the one image for our architecture; attestations say "unknown"."""
        fit = [
            each
            for each in manifests
            if each.get("platform", {}).get("architecture", ARCHITECTURE) == ARCHITECTURE
        ]
        if len(fit) != 1:
            raise self._too_many([str(each.get("annotations", {})) for each in fit])
        return fit[0]

    def _image(self, layers: tuple[str, ...], config: dict[str, Any]) -> ContainerImage:
        architecture = config.get("architecture", ARCHITECTURE)
        if architecture != ARCHITECTURE:
            raise HostError(
                f"'{self._path}' is an image for '{architecture}', not for '{ARCHITECTURE}'"
            )
        for layer in layers:
            self._archive.getmember(layer)
        words = (config.get("config") or {}).get("Env") or []
        pairs = dict(word.split("=", 1) for word in words if "=" in word)
        secret = tuple(name for name in pairs if is_secret_name(name))
        return ContainerImage(
            path=self._path,
            layers=layers,
            environment={name: text for name, text in pairs.items() if name not in secret},
            withheld=secret,
        )

    def _json(self, name: str) -> Any:  # noqa: ANN401  (JSON)
        file = self._archive.extractfile(os.path.normpath(name))
        if file is None:
            raise ValueError(name)
        return json.loads(file.read(LARGEST_JSON))

    def _too_many(self, tags: list[str]) -> HostError:
        held = ", ".join(f"'{tag}'" for tag in tags)
        return HostError(
            f"'{self._path}' holds several images: {held}" if tags
            else f"'{self._path}' holds no image for '{ARCHITECTURE}'",
            "save one image: docker save -o image.tar NAME",
        )  # fmt: skip


def _blob(descriptor: dict[str, str]) -> str:
    algorithm, _, digest = descriptor["digest"].partition(":")
    return f"blobs/{algorithm}/{digest}"
