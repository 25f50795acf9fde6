"""`vllmd-hypervisor logs`: the end of the guest's console, and what is added to it."""

from __future__ import annotations

import sys
import time

from launcher.cli.arguments import add_log_options
from launcher.cli.hypervisor.arguments import new_hypervisor_parser
from launcher.errors import EX_OK, HostError
from launcher.hypervisor.account import with_home
from launcher.hypervisor.console import CONTROLS, log_spec
from launcher.hypervisor.environment import EnvironmentReader
from launcher.hypervisor.identity import is_alive
from launcher.hypervisor.read import LOG, read_name
from launcher.hypervisor.rundir import find_rundir
from launcher.output import print_problems
from launcher.process.tail import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from launcher.hypervisor.rundir import RunDir
    from launcher.process.spec import LogSpec

PAUSE_S = 0.2
DESCRIPTION = """\
Print the end of the guest's log: its console, and what its supervisor says where it is detached.
Exit code 0; 69 if there is no log."""
EXAMPLES = "example:\n  vllmd-hypervisor logs -f -n 20\n"


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Print the log; with `-f`, until the guest ends or Ctrl-C.

    Raises:
        LauncherError: there is no log, or the variables are wrong.
    """
    arguments = _parse(argv)
    reader = EnvironmentReader(with_home(environ))
    name, log_path = read_name(reader), reader.path(LOG)
    print_problems(reader.finish(), ())
    rundir = find_rundir(name, environ)
    state = rundir.find_state()
    spec = log_spec(state.log if state else log_path, rundir)
    try:
        tail = Tail(spec, arguments.lines)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise HostError(
            f"the log '{spec.path}' of guest '{name}' cannot be read: {reason}",
            "start the guest, or set VLLMD_HYPERVISOR_LOG_FILEPATH as it was for 'start'",
        ) from None
    _copy(tail)
    while arguments.follow and _runs(rundir, spec):
        time.sleep(PAUSE_S)
        _copy(tail)
    _copy(tail)
    return EX_OK


def _copy(tail: Tail) -> None:
    """Print what is there; the guest's control characters do not reach a terminal."""
    while data := tail.read():
        shown = CONTROLS.sub(b"?", data) if sys.stdout.isatty() else data
        sys.stdout.buffer.write(shown)
        sys.stdout.buffer.flush()


def _runs(rundir: RunDir, spec: LogSpec) -> bool:
    """Tell whether a guest still writes this log."""
    state = rundir.find_state()
    return (
        state is not None
        and state.log == spec.path
        and (is_alive(state.supervisor) or is_alive(state.vmm))
    )


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = new_hypervisor_parser("logs", DESCRIPTION, EXAMPLES)
    add_log_options(parser, "go on with what is added, until the guest ends")
    return parser.parse_args(argv)
