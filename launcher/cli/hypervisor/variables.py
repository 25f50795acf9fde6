"""`vllmd-hypervisor variables`: the environment variables, and the schema of the host's file."""

from __future__ import annotations

import json

from launcher.cli.hypervisor.arguments import new_hypervisor_parser
from launcher.errors import EX_OK
from launcher.hypervisor.environment import find_unknown
from launcher.hypervisor.host.schema import render_host_schema
from launcher.hypervisor.show_variables import render_env, render_json, render_list, select
from launcher.hypervisor.variables import VARIABLES
from launcher.output import print_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

DESCRIPTION = """\
List the environment variables of vllmd-hypervisor: what each means, its default, the key of the
host's file that it wins over, and what it is set to now.
"""
EXAMPLES = """\
examples:
  vllmd-hypervisor variables start
  vllmd-hypervisor variables --env > vllmd.env     to be edited, and sourced by a shell
  vllmd-hypervisor variables --schema > vllmd-hypervisor.schema.json
and as the first line of the host's file, for editors:
  #:schema ./vllmd-hypervisor.schema.json
"""


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Print the variables, or the schema.

    Raises:
        UsageError: wrong command line.
    """
    arguments = _parse(argv)
    rows = select(arguments.command or "")
    if arguments.schema:
        print(json.dumps(render_host_schema(), indent=2))
    elif arguments.json:
        print(render_json(rows, environ))
    elif arguments.env:
        print(render_env(rows))
    else:
        print(render_list(rows, environ))
        print_problems(find_unknown(environ), ())
    return EX_OK


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = new_hypervisor_parser("variables", DESCRIPTION, EXAMPLES)
    commands = sorted({command for row in VARIABLES.values() for command in row.used_by})
    parser.add_argument(
        "command",
        metavar="COMMAND",
        nargs="?",
        choices=commands,
        help=f"only what one command reads: {', '.join(commands)} (default: all)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs")
    form.add_argument("--env", action="store_true", help="the defaults, as exports of a shell")
    form.add_argument(
        "--schema", action="store_true", help="the JSON Schema of the host's file, for editors"
    )
    return parser.parse_args(argv)
