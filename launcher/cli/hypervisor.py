"""`vllmd-hypervisor`: servers in virtual machines."""

from __future__ import annotations

import sys

from launcher import __version__
from launcher.errors import EX_OK, EX_UNAVAILABLE

HELP = """\
usage: vllmd-hypervisor COMMAND

Boots guests that run `vllmd` from the same TOML file. No command is in this version yet;
see CHANGELOG.md for what is.
"""


def main() -> int:
    """Answer --help and --version; say plainly that there is nothing else yet."""
    words = sys.argv[1:]
    if words[:1] == ["--version"]:
        print(f"vllmd-hypervisor {__version__}")
        return EX_OK
    if words[:1] in (["-h"], ["--help"]):
        print(HELP, end="")
        return EX_OK
    print("error: this version of vllmd has no virtual machines yet", file=sys.stderr)
    print("hint: run the servers directly, with 'vllmd run'", file=sys.stderr)
    return EX_UNAVAILABLE
