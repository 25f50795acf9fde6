"""YAML with comments, written: no library that a launcher should need keeps comments.

A document is made of dicts, lists and scalars. `Note` puts a comment above what it holds, and
`Flow` writes a list of scalars on one line.
"""

from __future__ import annotations

import json
import re

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    Node: TypeAlias = "str | int | float | bool | list[Node] | dict[str, Node] | Note | Flow | None"

# What YAML 1.1 (Compose, older tools) or 1.2 reads as something else than a string.
_WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null", "~", ""}
# Words that begin with a letter or a path, and sizes and durations: `30s`, `2Gi`.
_PLAIN = re.compile(
    r"(?:[A-Za-z]|\.?/)[A-Za-z0-9_./+-]*(?:[ :][A-Za-z0-9_./+-]+)*|[0-9]+(?:s|g|Mi|Gi)"
)

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@record
class Note:
    """A value with a comment above it."""

    comment: str
    value: Node


@record
class Flow:
    """A list of scalars on one line."""

    items: tuple[str | int, ...]


def render_yaml(documents: list[dict[str, Node]], heading: str = "") -> str:
    """Return a YAML stream; `heading` is a comment above the first document."""
    parts = ["\n".join(_mapping(document, 0)) for document in documents]
    above = "".join(f"{line}\n" for line in _comment(heading, 0))
    return above + "\n---\n".join(parts) + "\n"


def render_scalar(value: str | float | None) -> str:
    """Write a scalar so that every reader takes it for what it is."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if "'" not in value and value.isprintable():
        return f"'{value}'"
    return _escaped(value)


def _escaped(text: str) -> str:
    """Write a string in double quotes. JSON would write two escapes for some characters."""
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _comment(text: str, indent: int) -> Iterator[str]:
    for line in text.splitlines():
        yield f"{' ' * indent}# {line}".rstrip()


def _mapping(table: dict[str, Node], indent: int) -> Iterator[str]:
    for key, node in table.items():
        if isinstance(node, Note):
            yield from _comment(node.comment, indent)
        yield from _entry(f"{' ' * indent}{render_scalar(key)}:", _bare(node), indent)


def _entry(start: str, node: Node, indent: int) -> Iterator[str]:
    if isinstance(node, dict) and node:
        yield start
        yield from _mapping(node, indent + 2)
    elif isinstance(node, list) and node:
        yield start
        yield from _sequence(node, indent + 2)
    elif isinstance(node, str) and "\n" in node and _is_block(node):
        yield f"{start} |{_indicators(node)}"
        # A blank line has no indentation: editors and Git would call it trailing space.
        yield from (f"{' ' * (indent + 2)}{line}" if line else "" for line in _lines(node))
    else:
        yield f"{start} {_inline(node)}"


def _is_block(text: str) -> bool:
    """Tell whether a block holds a text as it is: no other ends of lines, nothing invisible."""
    return all(c in {"\n", "\t"} or c.isprintable() for c in text)


def _indicators(text: str) -> str:
    """Return what stands behind `|`: the indentation, and what becomes of newlines at the end."""
    begins_with_blank = text.lstrip("\n").startswith((" ", "\t"))
    end = "" if text.endswith("\n") else "-"
    if text.endswith("\n\n") or not text.strip("\n"):
        end = "+"
    return ("2" if begins_with_blank or text.startswith("\n") else "") + end


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _sequence(items: list[Node], indent: int) -> Iterator[str]:
    for item in items:
        if isinstance(item, Note):
            yield from _comment(item.comment, indent)
        node = _bare(item)
        if isinstance(node, dict) and node:
            lines = list(_mapping(node, indent + 2))
            first = next(i for i, line in enumerate(lines) if not line.lstrip().startswith("#"))
            lines[first] = f"{' ' * indent}- {lines[first][indent + 2 :]}"
            yield from lines
        else:
            yield f"{' ' * indent}- {_inline(node)}"


def _bare(node: Node) -> Node:
    return _bare(node.value) if isinstance(node, Note) else node


def _inline(node: Node) -> str:
    if isinstance(node, Flow):
        return "[" + ", ".join(_flow_scalar(item) for item in node.items) + "]"
    if isinstance(node, dict):
        return "{}"
    if isinstance(node, list):
        return "[]"
    if isinstance(node, Note):
        return _inline(node.value)
    return render_scalar(node)


def _flow_scalar(item: str | int) -> str:
    return _escaped(item) if isinstance(item, str) else json.dumps(item)
