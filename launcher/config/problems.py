"""Problems of a configuration, and the places they are at. Values only: rendering is elsewhere."""

from __future__ import annotations

from launcher.errors import EX_CONFIG, EX_OK, EX_UNAVAILABLE
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable
    from typing import TypeAlias

    # What tomli returns, and None, which only JSON overrides can hold ("remove this key").
    TomlValue: TypeAlias = (
        str
        | int
        | float
        | bool
        | dt.date
        | dt.time
        | list["TomlValue"]
        | dict[str, "TomlValue"]
        | None
    )
    # A place inside a document: table keys and list indices, outermost first.
    Path: TypeAlias = tuple[str | int, ...]

ERROR = "error"
WARNING = "warning"


@record
class Origin:
    """Where a value comes from.

    `kind` is "default", "preset", "file", "environment" (a variable that holds one setting),
    "override" (a variable or argument that holds a JSON object) or "argument"; `name` is the file's
    path, the variable's name, or the argument as the user typed it.
    """

    kind: str
    name: str


@record
class Problem:
    """One thing that is wrong, said in one sentence, with an action as the hint.

    The place is `origin` and `path`; line and column are looked up when the problem is shown, so
    that a configuration without problems pays nothing for them. Syntax errors carry `line` and
    `column` (both from 1) themselves.
    """

    message: str
    hint: str = ""
    severity: str = ERROR
    origin: Origin | None = None
    path: Path = ()
    at_key: bool = False  # the caret goes under the key, not under its value
    line: int = 0
    column: int = 0
    missing: bool = False  # not the text is wrong, but this machine lacks a program or device


def type_name(value: object) -> str:
    """Name the type of a TOML value in TOML's own words, with its article."""
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a float",
        str: "a string",
        list: "an array",
        dict: "a table",
        type(None): "null",
    }
    return names.get(type(value), "a date or time")


def errors_of(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Keep the problems that forbid a start."""
    return tuple(problem for problem in problems if problem.severity == ERROR)


def code_of(problems: Iterable[Problem]) -> int:
    """Return the exit code for problems: 0 without errors, 69 if only programs are missing, 78."""
    errors = errors_of(problems)
    if not errors:
        return EX_OK
    return EX_UNAVAILABLE if all(problem.missing for problem in errors) else EX_CONFIG


def dotted(path: Path) -> str:
    """Write a path as a TOML key: `instance."qwen2.5".server.port`, list indices as `[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        bare = part and all(c.isascii() and (c.isalnum() or c in "_-") for c in part)
        text += ("." if text else "") + (part if bare else _quoted(part))
    return text


def _quoted(part: str) -> str:
    """Write a part of a key as a basic string of TOML."""
    escaped = part.replace("\\", "\\\\").replace('"', '\\"')
    shown = (c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped)
    return f'"{"".join(shown)}"'
