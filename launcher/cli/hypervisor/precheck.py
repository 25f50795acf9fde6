"""`vllmd-hypervisor precheck`: what this host can do, and how to mend what it cannot."""

from __future__ import annotations

import os
import sys

from launcher.cli.hypervisor.arguments import new_hypervisor_parser
from launcher.cli.hypervisor.telling import tell_warnings
from launcher.errors import UsageError
from launcher.hypervisor.host.checks.survey import Survey
from launcher.hypervisor.host.findings import code_of, render_json, render_text
from launcher.hypervisor.host.loading import load_host
from launcher.hypervisor.host.machine import gather_machine
from launcher.hypervisor.host.precheck import check_all
from launcher.output import wants_colour

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

DESCRIPTION = """\
Look at this host and say what it can do: CPU, KVM, IOMMU, GPUs, memory, network, programs and
files, against what the host's file asks for. Each check has a name, what was seen, why it
matters, and the command that mends it. Nothing is changed.

'fail' keeps a guest from starting; 'warn' is what 'initialize' prepares, or what only some need.
"""
EXAMPLES = """\
examples:
  vllmd-hypervisor precheck
  VLLMD_HYPERVISOR_LOG_LEVEL=ERROR vllmd-hypervisor precheck     only what failed
  vllmd-hypervisor precheck --json | jq '.checks[] | select(.status == "fail")'

exit codes: 0 nothing failed; 69 a check failed; 64 wrong usage; 78 the configuration is wrong
"""


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Check the host.

    Raises:
        UsageError: wrong command line.
        ConfigError: the host's file or a variable is wrong.
    """
    arguments = _parse(argv)
    host = load_host(environ)
    tell_warnings(host)
    machine = gather_machine(environ, arguments.root)
    findings = check_all(Survey(config=host.config, settings=host.settings, machine=machine))
    if arguments.json:
        print(render_json(findings))
    else:
        colour = wants_colour(sys.stdout)
        print(render_text(findings, level=host.settings.log_level, colour=colour))
    return code_of(findings)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = new_hypervisor_parser("precheck", DESCRIPTION, EXAMPLES)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--root",
        metavar="DIR",
        default="",
        help="check the host whose /sys, /proc, /dev and /etc are below DIR, as from a container; "
        "its KVM and programs are not tried (default: this machine)",
    )
    arguments = parser.parse_args(argv)
    if arguments.root and not _is_root(arguments.root):
        raise UsageError(f"'{arguments.root}' holds no /sys and /proc", "name where a host is seen")
    return arguments


def _is_root(folder: str) -> bool:
    return os.path.isdir(f"{folder}/sys") and os.path.isdir(f"{folder}/proc")
