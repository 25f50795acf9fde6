"""`vllmd start|stop|restart NAME`: what the three have in common."""

from __future__ import annotations

import sys

from launcher.cli.control_arguments import parse_order
from launcher.cli.remote import find_remote, wait_until_settled
from launcher.errors import EX_OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_READY = 1


def give(verb: str, argv: list[str], environ: Mapping[str, str]) -> int:
    """Give an order to the running launcher; with `--wait`, wait for what comes of it.

    Raises:
        LauncherError: no launcher runs, or it refuses.
    """
    arguments = parse_order(verb, argv)
    remote = find_remote(arguments, environ)
    answer = remote.post(f"/{verb}/{remote.require_word(arguments.name)}")
    print(answer["message"])
    if not arguments.wait:
        return EX_OK
    wanted = "stopped" if verb == "stop" else "ready"
    found = wait_until_settled(remote, arguments.name)
    if found is None:
        print(f"error: '{arguments.name}' has been removed", file=sys.stderr)
        return NOT_READY
    if found["state"] == wanted:
        print(f"'{arguments.name}' is {wanted}")
        return EX_OK
    reason = f": {found['failure']}" if found["failure"] else ""
    print(f"error: '{arguments.name}' is {found['state']}{reason}", file=sys.stderr)
    return NOT_READY
