"""Unit files of systemd, and of Podman's Quadlet, written (systemd.syntax(7))."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    # Lines of a section: (key, value), or a comment as (COMMENT, text).
    Lines: TypeAlias = list[tuple[str, str]]

COMMENT = "#"


def render_unit(heading: str, sections: list[tuple[str, Lines]]) -> str:
    """Return the text of a unit file."""
    parts = ["".join(f"# {line}\n" for line in heading.splitlines())]
    for name, lines in sections:
        parts.append(f"[{name}]\n" + "".join(map(_line, lines)))
    return "\n".join(parts)


def _line(pair: tuple[str, str]) -> str:
    key, value = pair
    return f"# {value}\n" if key == COMMENT else f"{key}={value}\n"


def quoted(word: str) -> str:
    """Write one word of a value: quotes and escapes where it has blanks, specifiers doubled."""
    doubled = word.replace("%", "%%")
    if doubled and not any(c.isspace() or c in "\"'\\;" for c in doubled):
        return doubled
    escaped = doubled.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def in_command(text: str) -> str:
    """Write a value that becomes part of a command: neither specifiers nor variables are in it."""
    return text.replace("%", "%%").replace("$", "$$")
