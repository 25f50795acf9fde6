"""`vllmd-hypervisor initialize`: prepare this host, or take that back."""

from __future__ import annotations

import os

from launcher.cli.hypervisor.arguments import new_hypervisor_parser
from launcher.cli.hypervisor.telling import WARN, tell_warnings
from launcher.config.problems import WARNING, Problem
from launcher.errors import EX_OK, EX_UNAVAILABLE, HostError
from launcher.hypervisor.host.deeds import Machine
from launcher.hypervisor.host.loading import load_host
from launcher.hypervisor.host.prepare import Preparation, hint_of, plan_host
from launcher.output import print_error, print_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from launcher.cli.hypervisor.telling import Teller
    from launcher.hypervisor.host.deeds import Deed
    from launcher.hypervisor.host.loading import Host
    from launcher.hypervisor.host.prepare import Plan

NO_RUNTIME = Problem(
    message="there is no runtime: no huge pages, taps and devices are prepared",
    hint="add a [[runtimes]] table with index and name to the host's file",
    severity=WARNING,
)
PREPARED = "nothing to do: this host is prepared"

DESCRIPTION = """\
Prepare this host for the runtimes of its file: folders, huge pages, a bridge with NAT and a tap
for each runtime, and their GPUs on vfio-pci. What is there already is left as it is, so a second
run changes nothing. What is done is written to a journal in the state directory, and --undo
takes back that and nothing else."""
EXAMPLES = """\
examples:
  vllmd-hypervisor initialize --dry-run
  sudo VLLMD_HUGEPAGES_SIZE=1G vllmd-hypervisor initialize
  sudo vllmd-hypervisor initialize --undo

exit codes: 0 prepared; 64 wrong usage; 69 something is missing, or the kernel gave less than
asked; 78 the configuration is wrong
"""


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Prepare the host, and return the exit code.

    Raises:
        UsageError: wrong command line.
        ConfigError: the host's file or a variable is wrong.
        HostError: the kernel refuses something.
    """
    arguments = parse(argv)
    host = load_host(environ)
    tell = tell_warnings(host)
    dry_run = arguments.dry_run or host.settings.dry_run
    if arguments.undo:
        return undo(host, Machine(), tell, dry_run=dry_run)
    take = bool(arguments.take_display)
    return initialize(host, Machine(), tell, dry_run=dry_run, take_display=take)


def parse(words: list[str]) -> argparse.Namespace:
    """Parse the words of the command.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = new_hypervisor_parser("initialize", DESCRIPTION, EXAMPLES)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show each step and change nothing (default: VLLMD_HYPERVISOR_DRY_RUN)",
    )
    parser.add_argument("--undo", action="store_true", help="take back what the journal says")
    parser.add_argument(
        "--take-display",
        action="store_true",
        help="also take a GPU that shows this host's display (default: refuse)",
    )
    return parser.parse_args(words)


def initialize(
    host: Host, machine: Machine, tell: Teller, *, dry_run: bool, take_display: bool = False
) -> int:
    """Prepare a host.

    Raises:
        HostError: the kernel refuses something, or the journal is not ours.
    """
    if not host.config.runtimes and tell.tells(WARN):
        print_problems((NO_RUNTIME,), ())
    preparation = Preparation(host, machine)
    plan = plan_host(host, machine, preparation.done, take_display=take_display)
    for obstacle in plan.obstacles:
        print_error(obstacle)
    if dry_run:
        return _show(plan)
    if plan.obstacles:
        print("nothing was changed")
        return EX_UNAVAILABLE
    if not plan.deeds:
        tell.step(PREPARED)
        return EX_OK
    if os.geteuid() != 0:
        raise HostError("preparing a host needs root", "run it by sudo, or with --dry-run")
    short = _tell_deeds(preparation.make_home(plan.deeds), tell)
    with preparation.alone():
        # Somebody else may have prepared the host while we waited.
        plan = plan_host(host, machine, preparation.done, take_display=take_display)
        for obstacle in plan.obstacles:
            raise obstacle
        short |= _tell_deeds(preparation.perform(plan.deeds), tell)
        short |= _tell_deeds(preparation.finish_devices(), tell)
    return EX_UNAVAILABLE if short else EX_OK


def undo(host: Host, machine: Machine, tell: Teller, *, dry_run: bool) -> int:
    """Take back what was done.

    Raises:
        HostError: something cannot be taken back; the rest was.
    """
    preparation = Preparation(host, machine)
    if not preparation.done:
        tell.step("nothing to undo")
        return EX_OK
    if dry_run:
        for deed in reversed(preparation.done):
            print(f"would undo: {deed.say()}")
        return EX_OK
    with preparation.alone():
        for said in preparation.undo():
            tell.step(said)
    return EX_OK


def _show(plan: Plan) -> int:
    for deed in plan.deeds:
        print(f"would {deed.say()}")
    if not plan.deeds and not plan.obstacles:
        print(PREPARED)
    return EX_UNAVAILABLE if plan.obstacles else EX_OK


def _tell_deeds(done: Iterable[tuple[Deed, str]], tell: Teller) -> bool:
    """Say what is done as it is done; tell whether the kernel gave less than asked."""
    short = False
    for deed, shortage in done:
        tell.step(f"done: {deed.say()}")
        if shortage:
            print_error(HostError(shortage, hint_of(deed)))
            short = True
    return short
