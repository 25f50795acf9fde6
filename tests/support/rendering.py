"""Rendered files of a configuration, and the programs that read them."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import yaml

from launcher.config.problems import errors_of
from launcher.config.report import Locator, render_text, sort_problems
from launcher.facts import assume
from launcher.render.model import Options
from launcher.render.workload import plan_workload
from launcher.server.facts import questions
from launcher.server.plan import plan_launch
from tests.support.facts import read_text
from tests.support.require import skip_or_fail

if TYPE_CHECKING:
    from launcher.render.model import OutputFile, Workload

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = os.path.join(ROOT, "build", "tools")
PLACES = (TOOLS, "/usr/libexec/podman", "/usr/libexec/docker/cli-plugins", "/usr/lib/podman")


def workload_of(toml: str, overrides: str = "", **options: Any) -> Workload:
    """Return the workload of a configuration that renders without an error."""
    workload, said = _planned(toml, overrides, Options(**options))
    assert said == ""
    return workload


def refusal_of(toml: str, **options: Any) -> str:
    """Return what `vllmd render` says of a configuration that it refuses."""
    return _planned(toml, "", Options(**options))[1]


def _planned(toml: str, overrides: str, options: Options) -> tuple[Workload, str]:
    config = read_text(toml, overrides)
    plan = plan_launch(config, assume(questions(config), {}, "0.32.0"))
    workload, more = plan_workload(plan, options)
    problems = errors_of((*plan.problems, *more))
    pairs = sort_problems(problems, Locator(config.tree.documents))
    said = "".join(render_text(problem, spot, colour=False) for problem, spot in pairs)
    return workload, said


def loaded(file: OutputFile) -> list[dict[str, Any]]:
    """Return the documents of a rendered YAML file."""
    return list(yaml.safe_load_all(file.text))


def require_tool(suite: str, name: str) -> str:
    """Need a program that `tools/fetch_debian_tools.sh` fetches, or that is installed."""
    for place in PLACES:
        path = os.path.join(place, name)
        if os.access(path, os.X_OK):
            return path
    found = shutil.which(name)
    if found is None:
        skip_or_fail(suite, f"there is no '{name}' here: tools/fetch_debian_tools.sh fetches it")
    return found
