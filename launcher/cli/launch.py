"""From sources to a plan, as `run`, `check` and `plan` all do it."""

from __future__ import annotations

import sys

from launcher.cli.sources import load_documents, require_config
from launcher.facts import gather
from launcher.server.facts import questions
from launcher.server.plan import plan_launch
from launcher.server.read import read_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.server.plan import LaunchPlan


def make_plan(
    config: str | None,
    assignments: tuple[str, ...],
    environ: Mapping[str, str],
    vllm_version: str = "",
) -> LaunchPlan:
    """Read, look at the machine, and plan. Problems are in the plan.

    `vllm_version`, if given, is taken for the installed one.

    Raises:
        UsageError: no configuration is named.
        ConfigError: a source cannot be read or parsed.
    """
    path = require_config(config, environ)
    settings = read_config(load_documents(path, assignments, environ))
    facts = gather(questions(settings), environ, sys.executable, vllm_version)
    return plan_launch(settings, facts)
