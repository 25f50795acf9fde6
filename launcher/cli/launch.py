"""From sources to a plan, as `run`, `check` and `plan` all do it."""

from __future__ import annotations

import sys

from launcher.cli.sources import load_documents, require_config
from launcher.facts import assume, gather
from launcher.server.facts import questions
from launcher.server.plan import plan_launch
from launcher.server.read import read_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.server.model import LauncherConfig
    from launcher.server.plan import LaunchPlan


def make_plan(
    config: str | None,
    assignments: tuple[str, ...],
    environ: Mapping[str, str],
    vllm_version: str = "",
    *,
    elsewhere: bool = False,
) -> LaunchPlan:
    """Read, look at the machine, and plan. Problems are in the plan.

    `vllm_version`, if given, is taken for the installed one. With `elsewhere` the configuration is
    for another machine, and this one is not looked at.

    Raises:
        UsageError: no configuration is named.
        ConfigError: a source cannot be read or parsed.
    """
    path = require_config(config, environ)
    settings = read_config(load_documents(path, assignments, environ))
    if _uses_kvbm(settings):
        from launcher.cli.transfers import with_transfers  # noqa: PLC0415  (few need it)

        settings = with_transfers(settings, environ)
    if "guest" in settings.tree.data:
        from launcher.cli.guest_table import with_checked_guest  # noqa: PLC0415  (few need it)

        settings = with_checked_guest(settings)
    asked = questions(settings)
    if elsewhere:
        return plan_launch(settings, assume(asked, environ, vllm_version))
    facts = gather(asked, environ, sys.executable, vllm_version)
    return plan_launch(settings, facts)


def _uses_kvbm(settings: LauncherConfig) -> bool:
    tables = settings.tree.data.get("instance")
    inner = tables.values() if isinstance(tables, dict) else ()
    return "kvbm" in settings.tree.data or any(
        isinstance(table, dict) and "kvbm" in table for table in inner
    )
