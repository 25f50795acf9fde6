"""`vllmd status`: how the running launcher and its instances are."""

from __future__ import annotations

import json
import sys
import time

from launcher.cli.control_arguments import parse_status
from launcher.cli.remote import find_remote
from launcher.cli.show_status import render_status
from launcher.errors import EX_OK
from launcher.output import wants_colour

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.cli.remote import Answer, Remote

NOT_READY = 1
REFRESH_S = 1.0
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
HIDE_CURSOR, SHOW_CURSOR, CLEAR = "\x1b[?25l", "\x1b[?25h", "\x1b[2J"


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Show the state once, or again and again.

    Raises:
        LauncherError: no launcher runs.
    """
    arguments = parse_status(argv)
    remote = find_remote(arguments, environ)
    show = _print_json if arguments.json else _print_table
    status = remote.get("/status")
    if not arguments.watch:
        show(status)
        return EX_OK if status["launcher"]["ready"] else NOT_READY
    if arguments.json or not sys.stdout.isatty():
        return _follow(remote, status, json_lines=arguments.json)
    return _watch(remote, status)


def _print_json(status: Answer) -> None:
    print(json.dumps(status, indent=2))


def _print_table(status: Answer) -> None:
    print(render_status(status, colour=wants_colour(sys.stdout)), end="")


def _follow(remote: Remote, status: Answer, *, json_lines: bool) -> int:
    """Print one state after another, for a program or a file."""
    while True:
        text = json.dumps(status) if json_lines else render_status(status, colour=False)
        print(text, flush=True)
        time.sleep(REFRESH_S)
        status = remote.get("/status")


def _watch(remote: Remote, status: Answer) -> int:
    """Show the state in place until Ctrl-C, each line over its former self: nothing flickers."""
    colour = wants_colour(sys.stdout)
    sys.stdout.write(HIDE_CURSOR + CLEAR)
    try:
        while True:
            text = render_status(status, colour=colour).replace("\n", f"{CLEAR_LINE}\n")
            sys.stdout.write(HOME + text + CLEAR_BELOW)
            sys.stdout.flush()
            time.sleep(REFRESH_S)
            status = remote.get("/status")
    except KeyboardInterrupt:
        return EX_OK if status["launcher"]["ready"] else NOT_READY
    finally:
        sys.stdout.write(SHOW_CURSOR)
        sys.stdout.flush()
