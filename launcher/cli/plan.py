"""`vllmd plan`: exactly what would be started."""

from __future__ import annotations

import os

from launcher.cli.arguments import parse_plan
from launcher.cli.launch import make_plan
from launcher.cli.show_plan import render_json_plan, render_shell_plan, render_text_plan
from launcher.config.problems import code_of
from launcher.output import print_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Print the plan; 0, or 78 or 69 where it could not be started.

    Raises:
        LauncherError: there is no plan to print.
    """
    arguments = parse_plan(argv)
    plan = make_plan(arguments.config, tuple(arguments.assignments), environ)
    if arguments.format == "json":
        print(render_json_plan(plan, os.getcwd()))
        return code_of(plan.problems)
    print_problems(plan.problems, plan.config.tree.documents)
    render = render_shell_plan if arguments.format == "shell" else render_text_plan
    print(render(plan), end="")
    return code_of(plan.problems)
