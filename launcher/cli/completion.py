"""`vllmd completion`: what the shell may offer, as a script for it."""

from __future__ import annotations

from launcher.cli.arguments import new_parser
from launcher.cli.describe import describe_program
from launcher.cli.hypervisor.main import DOOR as HYPERVISOR
from launcher.cli.main import DOOR
from launcher.cli.shells import SHELLS
from launcher.errors import EX_OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLES = """\
examples:
  source <(vllmd completion bash)                             for this shell
  vllmd completion bash > /etc/bash_completion.d/vllmd        for everybody
  vllmd completion zsh > "${fpath[1]}/_vllmd"
  vllmd completion fish > ~/.config/fish/completions/vllmd.fish
"""


def main(argv: list[str], environ: Mapping[str, str]) -> int:  # noqa: ARG001  (as every command)
    """Print the script.

    Raises:
        UsageError: wrong command line.
    """
    parser = new_parser(
        "completion",
        "Print a script by which a shell completes commands, options, files and instances.",
        EXAMPLES,
    )
    parser.add_argument("shell", metavar="SHELL", choices=tuple(SHELLS), help=", ".join(SHELLS))
    arguments = parser.parse_args(argv)
    programs = tuple(describe_program(door) for door in (DOOR, HYPERVISOR))
    print(SHELLS[arguments.shell](programs), end="")
    return EX_OK
