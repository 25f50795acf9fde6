"""What was installed, as it is written down beside it. Pure."""

from __future__ import annotations

import json

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
SOURCE_FIELDS = ("path", "sha256", "size", "changed_ns")
PACKAGE_FIELDS = ("environment", "kind", "name", "version", "build", "file", "sha256")


@record
class Source:
    """The bundle's tar. Size and time of its last change (ns) tell it apart without reading it."""

    path: str
    sha256: str
    size: int
    changed_ns: int


@record
class InstalledPackage:
    """A package of an environment, and the checksum that it was compared with."""

    environment: str
    kind: str
    name: str
    version: str
    build: str
    file: str
    sha256: str


@record
class Installed:
    """What was installed. `root` is the real path that is baked into the files."""

    root: str
    source: Source
    environments: tuple[str, ...]
    by: str  # "pixi 0.77.0" or "py-rattler 0.28.0"
    manifest_origin: str
    packages: tuple[InstalledPackage, ...]


def render_installed(installed: Installed) -> str:
    """Write a record as JSON."""
    source = installed.source
    data = {
        "format": FORMAT,
        "root": installed.root,
        "bundle": {name: getattr(source, name) for name in SOURCE_FIELDS},
        "environments": list(installed.environments),
        "by": installed.by,
        "manifest_origin": installed.manifest_origin,
        "packages": [
            {name: getattr(each, name) for name in PACKAGE_FIELDS} for each in installed.packages
        ],
    }
    return json.dumps(data, indent=1) + "\n"


def parse_installed(text: str) -> Installed | None:
    """Parse a record; None where it is not one that this version writes."""
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            return None
        return Installed(
            root=_text(data, "root"),
            source=Source(
                path=_text(data["bundle"], "path"),
                sha256=_text(data["bundle"], "sha256"),
                size=int(data["bundle"]["size"]),
                changed_ns=int(data["bundle"]["changed_ns"]),
            ),
            environments=tuple(map(str, data["environments"])),
            by=_text(data, "by"),
            manifest_origin=_text(data, "manifest_origin"),
            packages=tuple(
                InstalledPackage(**{name: _text(each, name) for name in PACKAGE_FIELDS})
                for each in data["packages"]
            ),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _text(data: Mapping[str, object], name: str) -> str:
    value = data[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value
