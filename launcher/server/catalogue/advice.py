"""What to tell a user about a key that this version of vLLM does not have. Pure."""

from __future__ import annotations

import json

from launcher.config.suggest import find_nearest
from launcher.server.catalogue.successors import BEFORE_FIRST, SUCCESSORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import TomlValue
    from launcher.server.catalogue.lookup import Catalogue
    from launcher.server.catalogue.successors import Successor

STRANGER = "give flags that the catalogue does not know by extra_args"


def explain_unknown(catalogue: Catalogue, key: str, value: TomlValue = None) -> tuple[str, str]:
    """Return what is wrong with a key that `catalogue.find` does not know, and a hint.

    The hint carries the user's own `value` over, where it means the same in the new place.

    One of: an option of other versions only, a short flag, a misspelling, a stranger.
    """
    name = key.replace("-", "_")
    message = _message(catalogue, key, name)
    successor = SUCCESSORS.get(name)
    if successor and not _comes_later(catalogue, name):
        return message, _successor_hint(catalogue, successor, value)
    if _comes_later(catalogue, name):
        return message, f"use vLLM {catalogue.history(name)[0][0]} or newer, or leave it out"
    nearest = find_near(catalogue, name)
    if nearest:
        return message, f"did you mean '{nearest}'?"
    return message, STRANGER


def find_near(catalogue: Catalogue, name: str) -> str | None:
    """Return the option of this version whose name, or short flag, is most like a name."""
    return catalogue.find_short(name) or find_nearest(name, catalogue.names())


def _message(catalogue: Catalogue, key: str, name: str) -> str:
    spans = catalogue.history(name)
    if _comes_later(catalogue, name):
        return f"'{key}' was added in vLLM {_short(spans[0][0])}, this is {_this(catalogue)}"
    gone = _gone_in(catalogue, name)
    if gone:
        return f"'{key}' was removed in vLLM {_short(gone)}"
    if name in BEFORE_FIRST:
        return f"'{key}' was removed before vLLM {_short(catalogue.versions[0])}"
    return f"vLLM {_this(catalogue)} has no option '{key}'"


def _comes_later(catalogue: Catalogue, name: str) -> bool:
    """Tell whether the option's first version lies after this one."""
    spans = catalogue.history(name)
    at = catalogue.versions.index(catalogue.version)
    return bool(spans) and catalogue.versions.index(spans[0][0]) > at


def _gone_in(catalogue: Catalogue, name: str) -> str:
    """Return the first version without the option, of those up to this one; empty for none."""
    versions = catalogue.versions
    at = versions.index(catalogue.version)
    lasts = [versions.index(last) for _, last in catalogue.history(name) if last]
    before = [last for last in lasts if last < at]
    return versions[before[-1] + 1] if before else ""


def _successor_hint(catalogue: Catalogue, successor: Successor, value: TomlValue) -> str:
    use, why = successor.use, successor.why
    if successor.sample and isinstance(value, str | int | float | list):
        use = use.replace(successor.sample, json.dumps(value, default=str), 1)
    if not use or not catalogue.find(use.partition(" ")[0]):
        return f"remove it: {why}" if why else "remove it"
    return f"use {use} ({why})" if why else f"use {use}"


def _this(catalogue: Catalogue) -> str:
    if catalogue.exact:
        return catalogue.version
    ends = {catalogue.versions[0]: "oldest", catalogue.versions[-1]: "newest"}
    return f"{catalogue.version} ({ends.get(catalogue.version, 'nearest')} known)"


def _short(version: str) -> str:
    """Write a minor release as people do: 0.18 for 0.18.0."""
    return version.removesuffix(".0")
