"""The lock of pixi, `pixi.lock`: which packages an environment has, where, and their checksums.

It is YAML as one program writes it (versions 4 to 7: block style, one key a line), so it is read
line by line, and rewritten in place: everything that we need not change stays as it was. Pure.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote, unquote, urlsplit

from launcher.bundle.model import (
    CHANNEL_DIR,
    CONDA,
    CONDA_SUFFIXES,
    PYPI,
    SOURCE,
    WHEEL_DIR,
    Package,
)
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

VERSIONS = range(6, 8)  # 6 since pixi 0.38, 7 since 0.68
WRITTEN = 6  # what we write ourselves: every pixi since 0.38 reads it

_REFERENCE = re.compile(r"^(\s*- )(conda|pypi): (.+?)\s*$")
_CHANNEL = re.compile(r"^(\s*)(- url|channel): (.+?)\s*$")
_FIELD = re.compile(r"^  (name|version|build|subdir|sha256|md5): (.+?)\s*$")
_KEY = re.compile(r"^( *)('[^']*'|\"[^\"]*\"|[^\s'\"#-][^:]*):(?: (.*))?$")
_PLAIN = re.compile(r"^[A-Za-z0-9_./+~-][A-Za-z0-9_./+~=:!%@-]*$")
# A conda package's file: NAME-VERSION-BUILD, the last two without a dash.
_CONDA_NAME = re.compile(r"^(.+)-([^-]+)-([^-]+)$")
NAME_LEVEL, PART_LEVEL, PLATFORM_LEVEL = 2, 4, 6  # columns below `environments:`


class LockError(ValueError):
    """The text is no lock that we understand."""


@record
class Lock:
    """Environments, by name and platform, as locations; packages by location."""

    version: int
    environments: Mapping[str, Mapping[str, tuple[str, ...]]]
    packages: Mapping[str, Package]


def parse_lock(text: str) -> Lock:
    """Parse a lock.

    Raises:
        LockError: it is another version, or not as pixi writes it.
    """
    sections = _sections(text)
    version = sections.get("version", ("", []))[0]
    if not version.isdigit() or int(version) not in VERSIONS:
        known = " or ".join(map(str, VERSIONS))
        raise LockError(f"its version is '{version}', and {known} are understood")
    environments = _parse_environments(sections.get("environments", ("", []))[1])
    packages = {
        each.location: each for each in _parse_packages(sections.get("packages", ("", []))[1])
    }
    for platforms in environments.values():
        for locations in platforms.values():
            for location in locations:
                if location not in packages:
                    raise LockError(f"it does not describe the package '{location}'")
    return Lock(version=int(version), environments=environments, packages=packages)


def _sections(text: str) -> dict[str, tuple[str, list[str]]]:
    """Split at the keys of the first column: the value beside each, and the lines below it."""
    sections: dict[str, tuple[str, list[str]]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        key = _KEY.match(line)
        if key and not key[1]:
            lines = []
            sections[unquoted(key[2])] = (unquoted(key[3] or ""), lines)
        else:
            lines.append(line)
    return sections


def _parse_environments(lines: list[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    found: dict[str, dict[str, list[str]]] = {}
    name = part = platform = ""
    for line in lines:
        key, reference = _KEY.match(line), _REFERENCE.match(line)
        if key and len(key[1]) == NAME_LEVEL:
            name, part = unquoted(key[2]), ""
            found[name] = {}
        elif key and len(key[1]) == PART_LEVEL and name:
            part, platform = key[2], ""
        elif key and len(key[1]) == PLATFORM_LEVEL and part == "packages":
            platform = unquoted(key[2])
            found[name][platform] = []
        elif reference and part == "packages" and platform:
            found[name][platform].append(unquoted(reference[3]))
    return {
        name: {platform: tuple(dict.fromkeys(each)) for platform, each in platforms.items()}
        for name, platforms in found.items()
    }


def _parse_packages(lines: list[str]) -> Iterator[Package]:
    kind = location = ""
    fields: dict[str, str] = {}
    for line in lines:
        reference, field = _REFERENCE.match(line), _FIELD.match(line)
        if reference and not reference[1].startswith(" "):
            if location:
                yield _package(kind, location, fields)
            kind, location, fields = reference[2], unquoted(reference[3]), {}
        elif field:
            fields[field[1]] = unquoted(field[2])
    if location:
        yield _package(kind, location, fields)


def _package(kind: str, location: str, fields: Mapping[str, str]) -> Package:
    path = unquote(urlsplit(location).path) if "://" in location else location
    folder, _, file = path.rpartition("/")
    if kind == CONDA and file.endswith(CONDA_SUFFIXES):
        name, version, build = split_conda_name(file)
        subdir = fields.get("subdir") or folder.rpartition("/")[2]
        where = f"{CHANNEL_DIR}/{subdir}/{file}"
    elif kind == PYPI and file.endswith(".whl"):
        name, version = (*file.split("-"), "")[:2]
        build = subdir = ""
        where = f"{WHEEL_DIR}/{file}"
    else:
        kind, name, version, build, subdir, where = SOURCE, location, "", "", "", ""
    return Package(
        kind=kind,
        name=fields.get("name", name),
        version=fields.get("version", version),
        build=fields.get("build", build),
        subdir=subdir,
        file=where,
        location=location,
        sha256=fields.get("sha256", "").lower(),
        md5=fields.get("md5", "").lower(),
    )


def split_conda_name(file: str) -> tuple[str, str, str]:
    """Return name, version and build of a conda package's file."""
    suffix = next((each for each in CONDA_SUFFIXES if file.endswith(each)), "")
    stem = file[: len(file) - len(suffix)]
    found = _CONDA_NAME.match(stem)
    return (found[1], found[2], found[3]) if found else (stem, "", "")


def relocate_lock(text: str, lock: Lock, root: str) -> str:
    """Return the lock with every package and channel where the bundle is: below `root`.

    Pixi installs the locations that the lock says, whatever the manifest's channels are, and it
    takes absolute paths only for the packages of a local channel.
    """
    channel = channel_url(root)
    lines: list[str] = []
    for line in text.splitlines():
        reference, url = _REFERENCE.match(line), _CHANNEL.match(line)
        if reference:
            package = lock.packages.get(unquoted(reference[3]))
            if package is not None and package.kind != SOURCE:
                line = f"{reference[1]}{reference[2]}: {quoted(located(package, root))}"  # noqa: PLW2901
        elif url:
            line = f"{url[1]}{url[2]}: {quoted(channel)}"  # noqa: PLW2901
            if lines and lines[-1] == line:
                continue  # several channels have become one
        lines.append(line)
    return "\n".join(lines) + "\n"


def located(package: Package, root: str) -> str:
    """Return where a package is, as a lock of the project in `root` says it."""
    return f"{root}/{package.file}" if package.kind == CONDA else f"./{package.file}"


def channel_url(root: str) -> str:
    """Return the address of the channel of a project."""
    return f"file://{quote(root)}/{CHANNEL_DIR}/"


def render_lock(packages: Iterable[Package], environment: str, platform: str, root: str) -> str:
    """Write a lock for one environment that has all these packages."""
    chosen = sorted(packages, key=lambda each: (each.kind, each.name, each.file))
    lines = [
        f"version: {WRITTEN}",
        "environments:",
        f"  {quoted(environment)}:",
        "    channels:",
        f"    - url: {quoted(channel_url(root))}",
    ]
    if any(each.kind == PYPI for each in chosen):
        lines += [
            "    indexes:",
            "    - https://index.invalid/simple",
        ]  # no wheel is looked for there
    lines += ["    packages:", f"      {platform}:" + ("" if chosen else " []")]
    lines += [f"      - {each.kind}: {quoted(located(each, root))}" for each in chosen]
    lines.append("packages:" + ("" if chosen else " []"))
    for each in chosen:
        lines.append(f"- {each.kind}: {quoted(located(each, root))}")
        fields: dict[str, object] = {"name": each.name, "version": each.version}
        if each.kind == CONDA:
            fields |= {"build": each.build, "subdir": each.subdir}
        fields |= {"sha256": each.sha256, "md5": each.md5, **dict(each.extra)}
        # JSON is YAML: nothing has to be known of its quoting.
        lines += [f"  {name}: {json.dumps(value)}" for name, value in fields.items() if value]
    return "\n".join(lines) + "\n"


def unquoted(scalar: str) -> str:
    """Return the text of a YAML scalar on one line."""
    text = scalar.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text


def quoted(text: str) -> str:
    """Write a text as a YAML scalar, with quotes where it needs them."""
    return text if _PLAIN.match(text) else json.dumps(text)
