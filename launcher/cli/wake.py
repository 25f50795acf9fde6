"""`vllmd wake NAME`: have a sleeping server take its GPU memory again."""

from __future__ import annotations

from launcher.cli.control_arguments import parse_wake
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
    arguments = parse_wake(argv)
    remote = find_remote(arguments, environ)
    tell_server(remote, arguments.name, "/wake_up")
    print(f"'{arguments.name}' is awake")
    return EX_OK
