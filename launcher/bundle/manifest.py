"""The manifest of a bundle's project: its channels become the bundle's own. Pure."""

from __future__ import annotations

import json

import tomli

from launcher.bundle.model import CHANNEL_DIR, CONDA, PYPI
from launcher.config.locate import index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.bundle.model import Package
    from launcher.config.problems import Path, TomlValue

CHANNELS = f'["./{CHANNEL_DIR}"]'
WORKSPACES = ("workspace", "project")  # the second is its name before pixi 0.40
BLANK = " \t\r\n"


class ManifestError(ValueError):
    """The text is no manifest that we can set the channels of."""


def set_channels(text: str, name: str) -> str:
    """Return a manifest, `pixi.toml` or `pyproject.toml`, whose only channel is the bundle's.

    Everything else stays as it was, comments too.

    Raises:
        ManifestError: it is not TOML, or has no workspace.
    """
    text = text.replace("\r\n", "\n")
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise ManifestError(f"it is not TOML: {error}") from None
    top: Path = ("tool", "pixi") if name == "pyproject.toml" else ()
    workspace = next(
        ((*top, each) for each in WORKSPACES if isinstance(_at(data, (*top, each)), dict)), None
    )
    if workspace is None:
        raise ManifestError(f"it has no [{'.'.join(map(str, (*top, WORKSPACES[0])))}]")
    wanted = [(*workspace, "channels"), *_feature_channels(data, top)]
    # From the end on, so that what is before stays where it is.
    for path in sorted(wanted, key=lambda each: _offset(text, each), reverse=True):
        text = _set(text, path)
    try:
        changed = tomli.loads(text)
    except tomli.TOMLDecodeError:
        changed = {}
    if any(_at(changed, path) != [f"./{CHANNEL_DIR}"] for path in wanted):
        raise ManifestError("its channels are written in a way that cannot be changed")
    return text


def _feature_channels(data: dict[str, TomlValue], top: Path) -> list[Path]:
    features = _at(data, (*top, "feature"))
    names = features if isinstance(features, dict) else {}
    paths: list[Path] = [(*top, "feature", name, "channels") for name in names]
    return [path for path in paths if _at(data, path) is not None]


def _at(data: TomlValue, path: Path) -> TomlValue:
    for part in path:
        if not isinstance(data, dict) or not isinstance(part, str):
            return None
        data = data.get(part)
    return data


def _offset(text: str, path: Path) -> int:
    place = index(text).get(path) or index(text)[path[:-1]]
    return _position(text, place.value_line, place.value_column)


def _position(text: str, line: int, column: int) -> int:
    lines = text.split("\n")
    return sum(len(each) + 1 for each in lines[: line - 1]) + column - 1


def _set(text: str, path: Path) -> str:
    places = index(text)
    start = _offset(text, path)
    if path in places:
        if not text.startswith("[", start):
            raise ManifestError("its channels are no array")
        return text[:start] + CHANNELS + text[_array_end(text, start) :]
    end = text.find("\n", start)
    line = f"channels = {CHANNELS}\n"
    return f"{text}\n{line}" if end < 0 else text[: end + 1] + line + text[end + 1 :]


def _array_end(text: str, start: int) -> int:
    """Return where an array ends that begins at `start`; strings and comments may hold brackets."""
    depth, at = 0, start
    while at < len(text):
        character = text[at]
        if character in "\"'":
            at = _string_end(text, at)
            continue
        if character == "#":
            at = (text + "\n").find("\n", at)
            continue
        depth += {"[": 1, "]": -1}.get(character, 0)
        at += 1
        if depth == 0:
            return at
    raise ManifestError("an array does not end")


def _string_end(text: str, start: int) -> int:
    quote = text[start]
    mark = quote * 3 if text.startswith(quote * 3, start) else quote
    at = start + len(mark)
    while not text.startswith(mark, at):
        at += 2 if text[at] == "\\" and quote == '"' else 1
    return at + len(mark)


def render_manifest(
    packages: Iterable[Package], environments: tuple[str, ...], platform: str
) -> str:
    """Write the manifest of a bundle that has none: exactly these packages."""
    chosen = sorted(packages, key=lambda each: each.name)
    lines = [
        "[workspace]",
        'name = "bundle"',
        f"channels = {CHANNELS}",
        f"platforms = [{json.dumps(platform)}]",
        "",
        "[dependencies]",
    ]
    for each in chosen:
        if each.kind == CONDA:
            version, build = json.dumps(f"=={each.version}"), json.dumps(each.build)
            lines.append(f"{json.dumps(each.name)} = {{ version = {version}, build = {build} }}")
    if any(each.kind == PYPI for each in chosen):
        lines += ["", "[pypi-options]", "no-index = true", 'find-links = [{ path = "./pypi" }]']
        lines += ["", "[pypi-dependencies]"]
        lines += [
            f"{json.dumps(each.name)} = {json.dumps(f'=={each.version}')}"
            for each in chosen
            if each.kind == PYPI
        ]
    named = [name for name in environments if name != "default"]
    if named:
        lines += ["", "[environments]", *(f"{json.dumps(name)} = []" for name in named)]
    return "\n".join(lines) + "\n"
