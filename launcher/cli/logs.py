"""`vllmd logs NAME`: the last lines of an instance's log, and what is added to it."""

from __future__ import annotations

import sys

from launcher.cli.control_arguments import parse_logs
from launcher.cli.remote import find_remote
from launcher.errors import EX_OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

CHUNK = 65_536


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Print the log; with `-f`, until the launcher ends or Ctrl-C.

    Raises:
        LauncherError: no launcher runs, or there is no such log.
    """
    arguments = parse_logs(argv)
    follow = "&follow" if arguments.follow else ""
    remote = find_remote(arguments, environ)
    page = f"/logs/{remote.require_word(arguments.name)}?lines={arguments.lines}{follow}"
    with remote.stream(page) as response:
        while data := response.read1(CHUNK):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    return EX_OK
