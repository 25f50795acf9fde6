"""`vllmd reload`: let the running launcher read its configuration again."""

from __future__ import annotations

import sys

from launcher.cli.control_arguments import parse_reload
from launcher.cli.remote import find_remote
from launcher.errors import EX_CONFIG, EX_OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.cli.remote import Answer


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Reload, and say what changes.

    Raises:
        LauncherError: no launcher runs, or it refuses.
    """
    arguments = parse_reload(argv)
    answer = find_remote(arguments, environ).post("/reload", refusable=True)
    if answer.get("problems"):
        print(answer["problems"], file=sys.stderr)
    if "error" in answer:
        print(f"error: {answer['error']}", file=sys.stderr)
        return EX_CONFIG
    print(render_changes(answer))
    return EX_OK


def render_changes(answer: Answer) -> str:
    """Render what a reload changes, in a line."""
    words = {
        "added": "starts",
        "changed": "restarts with new settings",
        "removed": "stops for good",
    }
    parts = [f"{', '.join(answer[key])}: {word}" for key, word in words.items() if answer.get(key)]
    return "; ".join(parts) or "nothing has changed"
