"""What a bundle or an installed folder has, package by package. Pure."""

from __future__ import annotations

from launcher.bundle.errors import BundleError
from launcher.bundle.lockfile import LockError, parse_lock
from launcher.bundle.model import (
    CONDA_SUFFIXES,
    LOCK,
    MANIFESTS,
    MISSING,
    OK,
    PYPI,
    SOURCE,
    UNPROVEN,
    Listed,
)
from launcher.bundle.plan import list_packages, read_channel
from launcher.bundle.repodata import find_wheels
from launcher.config.suggest import render_hint
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.bundle.lockfile import Lock
    from launcher.bundle.model import Contents, Package

WHOLE = "default"  # the environment of a channel without a lock


@record
class Section:
    """An environment on a platform, and its packages."""

    environment: str
    platform: str
    packages: tuple[Listed, ...]


@record
class Inspection:
    """What there is. `unlisted` are package files that no environment has."""

    sections: tuple[Section, ...]
    unlisted: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()  # of what a project needs: its manifest, its lock

    def size(self) -> int:
        """Return the bytes of all packages, each counted once."""
        sizes = {each.package.file: each.size for part in self.sections for each in part.packages}
        return sum(sizes.values())

    def is_empty(self) -> bool:
        """Tell whether no environment has a package."""
        return not any(part.packages for part in self.sections)

    def faults(self) -> tuple[Listed, ...]:
        """Return the packages that are not as they should be."""
        fine = {OK, SOURCE}
        return tuple(
            each
            for part in self.sections
            for each in part.packages
            if each.state not in fine and (each.state, each.package.kind) != (UNPROVEN, PYPI)
        )


def inspect_contents(contents: Contents, environment: str, platform: str) -> Inspection:
    """Return what a bundle has; of one environment or platform only, where they are not empty.

    Raises:
        BundleError: its lock or index cannot be parsed, or has no such environment.
    """
    texts, files = contents.texts, contents.files
    chosen: dict[tuple[str, str], tuple[Package, ...]]
    if LOCK in texts:
        chosen = _locked(texts[LOCK], environment, platform)
    else:
        chosen = _channel(contents, platform)
    sections = tuple(
        Section(environment=name, platform=where, packages=list_packages(packages, files))
        for (name, where), packages in chosen.items()
    )
    used = {each.package.file for part in sections for each in part.packages}
    lacks = () if any(name in texts for name in MANIFESTS) else (MANIFESTS[0],)
    return Inspection(
        sections=sections,
        unlisted=tuple(sorted(path for path in files if _is_package(path) and path not in used)),
        lacks=(*lacks, *(() if LOCK in texts else (LOCK,))),
    )


def _is_package(path: str) -> bool:
    return path.endswith((*CONDA_SUFFIXES, ".whl"))


def _locked(
    text: str, environment: str, platform: str
) -> dict[tuple[str, str], tuple[Package, ...]]:
    try:
        lock: Lock = parse_lock(text)
    except LockError as error:
        raise BundleError(f"its '{LOCK}' cannot be used: {error}", "make it again") from None
    if environment and environment not in lock.environments:
        raise BundleError(
            f"its '{LOCK}' has no environment '{environment}'",
            render_hint(environment, lock.environments),
        )
    return {
        (name, where): tuple(lock.packages[location] for location in locations)
        for name, platforms in lock.environments.items()
        for where, locations in _of_platform(platforms, platform).items()
        if environment in {"", name}
    }


def _of_platform(
    platforms: Mapping[str, tuple[str, ...]], platform: str
) -> Mapping[str, tuple[str, ...]]:
    """Return what is for one platform; all, where nothing is for it."""
    return {platform: platforms[platform]} if platform in platforms else platforms


def _channel(contents: Contents, platform: str) -> dict[tuple[str, str], tuple[Package, ...]]:
    packages = (*read_channel(contents.texts), *find_wheels(contents.files))
    return {(WHOLE, platform): packages}


def as_data(inspection: Inspection) -> dict[str, object]:
    """Return an inspection as JSON has it."""
    return {
        "environments": [
            {
                "name": part.environment,
                "platform": part.platform,
                "packages": [
                    {
                        "kind": each.package.kind,
                        "name": each.package.name,
                        "version": each.package.version,
                        "build": each.package.build,
                        "file": each.package.file,
                        "size": each.size,
                        "state": each.state,
                    }
                    for each in part.packages
                ],
            }
            for part in inspection.sections
        ],
        "size": inspection.size(),
        "missing": sorted({e.package.file for e in inspection.faults() if e.state == MISSING}),
        "unlisted": list(inspection.unlisted),
        "lacks": list(inspection.lacks),
    }
