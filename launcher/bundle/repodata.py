"""The index of a channel, `repodata.json`: its packages and their checksums. Pure."""

from __future__ import annotations

import json

from launcher.bundle.model import CHANNEL_DIR, CONDA, PYPI, WHEEL_DIR, Package

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

GROUPS = ("packages", "packages.conda")
# What a lock says of a package besides its name and checksums.
KEPT = ("depends", "constrains", "noarch", "license", "build_number", "track_features",
        "python_site_packages_path", "timestamp", "size")  # fmt: skip


class RepodataError(ValueError):
    """The text is no repodata."""


def parse_repodata(text: str, subdir: str) -> tuple[Package, ...]:
    """Parse the index of one folder of a channel.

    Raises:
        RepodataError: it is none.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise RepodataError(f"it is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise RepodataError("it is not a JSON object")
    found = []
    for group in GROUPS:
        entries = data.get(group, {})
        if not isinstance(entries, dict):
            raise RepodataError(f"its '{group}' is not an object")
        found += [_package(file, entry, subdir) for file, entry in entries.items()]
    return tuple(found)


def _package(file: str, entry: object, subdir: str) -> Package:
    if not isinstance(entry, dict) or "/" in file or not isinstance(entry.get("name"), str):
        raise RepodataError(f"its '{file}' describes no package")
    return Package(
        kind=CONDA,
        name=entry["name"],
        version=str(entry.get("version", "")),
        build=str(entry.get("build", "")),
        subdir=subdir,
        file=f"{CHANNEL_DIR}/{subdir}/{file}",
        sha256=str(entry.get("sha256") or "").lower(),
        md5=str(entry.get("md5") or "").lower(),
        extra=tuple((name, entry[name]) for name in KEPT if entry.get(name)),
    )


def find_wheels(files: Iterable[str]) -> tuple[Package, ...]:
    """Return the wheels among the files of a bundle; their names say what they are (PEP 427)."""
    found = []
    for path in files:
        folder, _, file = path.rpartition("/")
        if folder == WHEEL_DIR and file.endswith(".whl"):
            name, version = (*file.split("-"), "")[:2]
            found.append(
                Package(kind=PYPI, name=name.replace("_", "-"), version=version, file=path)
            )
    return tuple(found)
