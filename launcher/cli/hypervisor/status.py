"""`vllmd-hypervisor status`: whether the guest runs, and what runs inside."""

from __future__ import annotations

from launcher.cli.hypervisor.arguments import new_hypervisor_parser
from launcher.hypervisor.environment import EnvironmentReader
from launcher.hypervisor.observing import observe
from launcher.hypervisor.read import read_name
from launcher.hypervisor.rundir import find_rundir
from launcher.hypervisor.status import exit_code, render_json, render_status
from launcher.output import print_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DESCRIPTION = """\
Show the guest: its state, process, uptime, size, devices and backend, and what it says of itself.
Exit code 0 if it runs, 3 if it is stopped, 4 for everything between: it starts, stops, is paused
or does not answer."""
EXAMPLES = "example:\n  vllmd-hypervisor status --json | jq '.guest.instances[].state'\n"


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Show the state once.

    Raises:
        LauncherError: the variables are wrong.
    """
    parser = new_hypervisor_parser("status", DESCRIPTION, EXAMPLES)
    parser.add_argument("--json", action="store_true", help="one object, for programs")
    arguments = parser.parse_args(argv)
    reader = EnvironmentReader(environ)
    name = read_name(reader)
    print_problems(reader.finish(), ())
    status = observe(name, find_rundir(name, environ))
    print(render_json(status) if arguments.json else render_status(status))
    return exit_code(status)
