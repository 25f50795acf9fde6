"""Join what each version said into ranges of versions that said the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Range(NamedTuple):
    """A run of versions in which something was the same. `last` is empty: up to the newest."""

    first: str
    last: str
    fact: Any

    def render(self) -> str:
        """Render the versions only: `0.11.0-0.17.1`, `0.20.0-`."""
        return f"{self.first}-{self.last}"


def join_ranges(versions: Sequence[str], facts: Mapping[str, Any]) -> list[Range]:
    """Join neighbouring versions with equal facts; a version without a fact ends a range."""
    found: list[Range] = []
    previous = None
    for version in (*versions, ""):
        fact = facts.get(version)
        if not _same(fact, previous):
            if previous is not None:
                found[-1] = found[-1]._replace(last=_before(version, versions))
            if fact is not None:
                found.append(Range(version, "", fact))
        previous = fact
    if found and found[-1].last == versions[-1]:
        found[-1] = found[-1]._replace(last="")
    return found


def _same(one: object, other: object) -> bool:
    """Compare as JSON does: Python thinks that 0, 0.0 and False are the same."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _before(version: str, versions: Sequence[str]) -> str:
    return versions[versions.index(version) - 1] if version else versions[-1]
