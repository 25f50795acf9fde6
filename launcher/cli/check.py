"""`vllmd check`: every problem, nothing started."""

from __future__ import annotations

import sys

from launcher.cli.arguments import parse_check
from launcher.cli.launch import make_plan
from launcher.config.problems import errors_of
from launcher.config.report import Locator, render_github, render_json, sort_problems
from launcher.errors import EX_CONFIG, EX_OK, ConfigError
from launcher.output import print_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.document import Document
    from launcher.config.problems import Problem


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Report all problems of a configuration; 0 without errors, 78 with.

    Raises:
        UsageError: wrong command line, or no configuration is named.
    """
    arguments = parse_check(argv)
    done = ""
    try:
        plan = make_plan(
            arguments.config,
            tuple(arguments.assignments),
            environ,
            arguments.vllm_version,
            elsewhere=arguments.elsewhere,
        )
    except ConfigError as error:
        problems, documents = error.problems, error.documents
    else:
        problems, documents = plan.problems, plan.config.tree.documents
        names = ", ".join(instance.process.name for instance in plan.instances)
        done = f"ok: would start {names}" if names else "ok: nothing to start"
        if arguments.vllm_version and plan.catalogue and not plan.catalogue.exact:
            done += f" (options as of vLLM {plan.catalogue.version}, the nearest that is known)"
    _show(arguments.format, problems, documents)
    if errors_of(problems):
        return EX_CONFIG
    if arguments.format == "text":
        print(done)
    return EX_OK


def _show(form: str, problems: tuple[Problem, ...], documents: tuple[Document, ...]) -> None:
    if form == "text":
        print_problems(problems, documents, sys.stdout)
        return
    pairs = sort_problems(problems, Locator(documents))
    if form == "json":
        print(render_json(pairs))
    else:
        for problem, spot in pairs:
            print(render_github(problem, spot))
