"""`vllmd sleep NAME`: have a server give up its GPU memory, and stay."""

from __future__ import annotations

from launcher.cli.control_arguments import parse_sleep
from launcher.cli.remote import find_remote
from launcher.cli.sleeping import tell_server
from launcher.errors import EX_OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Tell the server.

    Raises:
        LauncherError: no launcher runs, or the server cannot sleep.
    """
    arguments = parse_sleep(argv)
    remote = find_remote(arguments, environ)
    tell_server(remote, arguments.name, f"/sleep?level={arguments.level}")
    print(f"'{arguments.name}' sleeps")
    return EX_OK
