"""Text that whoever shows it need not fear. Pure."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape what would move the cursor, colour the terminal, or break the line."""
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in text
    )
