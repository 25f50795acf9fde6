"""Near matches for a word that is not known."""

from __future__ import annotations

import difflib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

CUTOFF = 0.6  # difflib's own: two in five letters may differ


def find_nearest(word: str, known: Iterable[str], cutoff: float = CUTOFF) -> str | None:
    """Return the known word most like `word`, or None if none is like it."""
    folded = {_folded(name): name for name in known}
    near = difflib.get_close_matches(_folded(word), folded, n=1, cutoff=cutoff)
    return folded[near[0]] if near else None


def render_hint(word: str, known: Iterable[str]) -> str:
    """Render the hint for an unknown word: the nearest known one, else all of them."""
    names = sorted(known)
    nearest = find_nearest(word, names)
    if nearest:
        return f"did you mean '{nearest}'?"
    return "known here: " + ", ".join(names)


def _folded(word: str) -> str:
    return word.lower().replace("-", "_")
