"""The registry of variables, for people, programs and shells. Pure: text only."""

from __future__ import annotations

import json
import re
import shlex

from launcher.hypervisor.variables import VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.hypervisor.variables import Variable

HOME = re.compile(r"\$HOME(?=/|$)")


def select(command: str = "") -> tuple[Variable, ...]:
    """Return the variables that a command reads; all of them without one."""
    rows = VARIABLES.values()
    return tuple(each for each in rows if not command or command in each.used_by)


def render_list(rows: Sequence[Variable], environ: Mapping[str, str]) -> str:
    """Render variables for a terminal, with what is set now."""
    return "\n".join(_render_row(each, environ.get(each.name, "").strip()) for each in rows)


def _render_row(row: Variable, value: str) -> str:
    lines = [row.name, f"    {row.doc}"]
    if row.choices:
        lines.append(f"    one of: {', '.join(row.choices)}")
    lines.append(f"    default: {words_of(row)}" if not row.required else "    required")
    if row.key:
        lines.append(f"    wins over: {row.key} in the file")
    lines.append(f"    used by: {', '.join(row.used_by)}")
    if value:
        lines.append(f"    set to: {value}")
    return "\n".join(lines)


def words_of(row: Variable) -> str:
    """Say what holds where a variable is not set."""
    return row.default_words or row.default


def render_json(rows: Sequence[Variable], environ: Mapping[str, str]) -> str:
    """Render variables for programs; `default` and `value` are null where there is none."""
    found = [
        {
            "name": row.name,
            "kind": row.kind,
            "default": row.default or None,
            "default_words": words_of(row) or None,
            "choices": list(row.choices),
            "required": row.required,
            "key": row.key or None,
            "used_by": list(row.used_by),
            "doc": row.doc,
            "value": environ.get(row.name, "").strip() or None,
        }
        for row in rows
    ]
    return json.dumps(found, indent=2)


def render_env(rows: Sequence[Variable]) -> str:
    """Render the defaults as a shell's exports; what has none is a comment to fill in."""
    lines = []
    for row in rows:
        lines.append(f"# {row.doc}")
        if row.default:
            lines.append(f"export {row.name}={_quoted(row.default)}")
        else:
            words = "required" if row.required else f"default: {words_of(row)}"
            lines.append(f"# export {row.name}=  # {words}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """Quote for a shell; `$HOME` stays what the shell makes of it."""
    return f'"{text}"' if HOME.match(text) else shlex.quote(text)
