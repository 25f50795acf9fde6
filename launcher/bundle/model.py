"""What a bundle is made of. Values only.

A bundle is a tar with

    channel/SUBDIR/*.conda, *.tar.bz2     packages, and a repodata.json in each folder
    pypi/*.whl                            wheels, where there are any
    pixi.toml or pyproject.toml           the project (optional)
    pixi.lock                             what is installed (optional: else the whole channel)
    pixi-pack.json                        written by pixi-pack: the platform (optional)

which is what `pixi-pack` writes, with or without the project beside it.
"""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    Digests: TypeAlias = Mapping[str, "Digest"]

CONDA = "conda"
PYPI = "pypi"
SOURCE = "source"  # built when it is installed: a folder or a repository, no package file

CHANNEL_DIR = "channel"
WHEEL_DIR = "pypi"
MANIFESTS = ("pixi.toml", "pyproject.toml")
LOCK = "pixi.lock"
PACK = "pixi-pack.json"
REPODATA = "repodata.json"
CONDA_SUFFIXES = (".conda", ".tar.bz2")

OK = "ok"
MISSING = "missing"
DIFFERS = "differs"
UNPROVEN = "no checksum"


@record
class Digest:
    """A file in a bundle: its size in bytes and its checksums, in hexadecimal."""

    size: int
    sha256: str
    md5: str = ""


@record
class Package:
    """A package that a lock or repodata names. `file` is its path in the bundle.

    `extra` are fields of repodata that a lock needs too: `depends`, `constrains`, `noarch`, ...
    """

    kind: str
    name: str
    version: str
    file: str
    location: str = ""
    build: str = ""
    subdir: str = ""
    sha256: str = ""
    md5: str = ""
    extra: tuple[tuple[str, object], ...] = ()


@record
class Contents:
    """What a bundle holds: the files that are no text for us, and the texts that are."""

    files: Mapping[str, Digest]
    texts: Mapping[str, str]


@record
class Listed:
    """A package of an environment, and whether the bundle has it as it should be."""

    package: Package
    size: int
    state: str


@record
class Project:
    """What is to be written beside the packages: the manifest and the lock, and their packages.

    `origin` says where the manifest comes from: "bundle", "project" (the folder had it before) or
    "made" (of what the channel has).
    """

    manifest_name: str
    manifest: str
    lock: str
    origin: str
    environments: Mapping[str, tuple[Package, ...]]


@record
class Target:
    """One environment to install: `root` is its project's folder, `cache` a folder for packages.

    The packages are those that the lock in `root` has for the environment and the platform.
    """

    root: str
    cache: str
    environment: str
    platform: str
    packages: tuple[Package, ...]

    def prefix(self) -> str:
        """Return where the environment goes."""
        return f"{self.root}/.pixi/envs/{self.environment}"
