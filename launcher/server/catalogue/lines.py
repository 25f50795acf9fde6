"""Lines of the catalogue's files: `name <tab> first-last <tab> ...`, searched and not parsed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    # First and last version, both included; the last one empty: up to the newest.
    from typing import TypeAlias

    Span: TypeAlias = tuple[str, str]


def find_lines(text: str, start: str) -> Iterator[str]:
    """Yield the lines that begin with `start`, which itself begins with a newline."""
    at = text.find(start)
    while at >= 0:
        end = text.index("\n", at + 1)
        yield text[at + 1 : end]
        at = text.find(start, end)


def span_of(line: str) -> Span:
    """Return the range of versions of a line."""
    first, _, last = line.split("\t", 2)[1].partition("-")
    return first, last


def span_holds(span: Span, version: str, versions: Sequence[str]) -> bool:
    """Tell whether `version` is in a range of `versions` (oldest first)."""
    last = span[1] or versions[-1]
    return versions.index(span[0]) <= versions.index(version) <= versions.index(last)


def join_spans(spans: list[Span], versions: Sequence[str]) -> tuple[Span, ...]:
    """Join ranges that follow each other without a gap; they are given oldest first."""
    joined: list[Span] = []
    for first, last in spans:
        if joined and versions.index(joined[-1][1]) + 1 == versions.index(first):
            joined[-1] = joined[-1][0], last
        else:
            joined.append((first, last))
    return tuple(joined)
