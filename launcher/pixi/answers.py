"""What pixi printed, as data. Pure."""

from __future__ import annotations

import json

FRAME = " \u00d7│╰─▶├"  # how pixi draws its errors
SHOWN = 300  # characters of pixi's own words in a message


def parse_hook(text: str) -> dict[str, str]:
    """Parse the answer of `pixi shell-hook --json`: the variables that an activation changes.

    Raises:
        ValueError: it is no such answer.
    """
    answer = json.loads(text)
    variables = answer.get("environment_variables") if isinstance(answer, dict) else None
    if not isinstance(variables, dict):
        raise ValueError("it has no 'environment_variables'")  # noqa: TRY004  (of a text, not a type)
    for name, value in variables.items():
        if not isinstance(value, str) or not name or "=" in name or "\0" in name + value:
            raise ValueError(f"'{name}' is no variable")
    return variables


def parse_marker(text: str) -> str | None:
    """Return the manifest that an environment was installed for, by its `conda-meta/pixi`.

    None where it does not say so.
    """
    try:
        marker = json.loads(text)
    except ValueError:
        return None
    path = marker.get("manifest_path") if isinstance(marker, dict) else None
    return path if isinstance(path, str) else None


def complaint(stderr: str) -> str:
    """Return the gist of what pixi wrote to stderr, on one line; empty where it said nothing."""
    lines = [line.strip().removeprefix("Error:").strip(FRAME) for line in stderr.splitlines()]
    return "; ".join(line for line in lines if line)[:SHOWN]
