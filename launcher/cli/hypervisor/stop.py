"""`vllmd-hypervisor stop`: shut the guest down, and force it when it does not listen."""

from __future__ import annotations

import sys

from launcher.cli.hypervisor.arguments import new_hypervisor_parser
from launcher.errors import EX_OK
from launcher.hypervisor.environment import EnvironmentReader
from launcher.hypervisor.read import read_name, read_stop_timeout
from launcher.hypervisor.rundir import find_rundir
from launcher.hypervisor.stopping import FORCED, WAS_STOPPED, stop_guest
from launcher.output import print_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

EX_FORCED = 5
DESCRIPTION = """\
Shut the guest down: press its power button until it has ended; when its time is over, cut the
power, then SIGTERM, then SIGKILL. Stopping a guest that does not run is no error.
Exit code 0 if it has shut down by itself or did not run, 5 if it had to be forced, 69 if nothing
helps."""
EXAMPLES = "example:\n  VLLMD_HYPERVISOR_NAME=chat vllmd-hypervisor stop\n"


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Stop the guest, and come back when it is gone.

    Raises:
        LauncherError: it does not end, or the variables are wrong.
    """
    arguments = _parse(argv)
    reader = EnvironmentReader(environ)
    name, grace_s = read_name(reader), read_stop_timeout(reader)
    print_problems(reader.finish(), ())
    outcome = stop_guest(find_rundir(name, environ), grace_s, force=arguments.force)
    if outcome == WAS_STOPPED:
        print(f"guest '{name}' does not run", file=sys.stderr)
    elif outcome == FORCED:
        print(f"guest '{name}' had to be forced", file=sys.stderr)
        return EX_FORCED
    return EX_OK


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = new_hypervisor_parser("stop", DESCRIPTION, EXAMPLES)
    parser.add_argument(
        "--force", action="store_true", help="cut the power at once, without asking the guest"
    )
    return parser.parse_args(argv)
