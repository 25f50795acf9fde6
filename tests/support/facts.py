"""Facts by hand, and plans from a TOML text: the pure core without a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.config.document import parse_assignment, parse_toml
from launcher.config.overrides import parse_overrides
from launcher.config.problems import Origin
from launcher.config.report import Locator, render_text, sort_problems
from launcher.server.catalogue.data import load_catalogue, load_environment
from launcher.server.facts import Facts, PythonFacts
from launcher.server.plan import plan_launch
from launcher.server.read import read_config

if TYPE_CHECKING:
    from launcher.process.spec import ProcessSpec
    from launcher.server.model import LauncherConfig
    from launcher.server.plan import LaunchPlan

FILE = Origin(kind="file", name="vllm.toml")
PYTHON = "/opt/vllm/bin/python3"
VERSION = "0.32.0"
VLLM = "vllm.entrypoints.openai.api_server"
# Whatever a test is not about: a model from a hub, which is not looked for on disk.
MODEL = 'model = "org/model"\n'


def make_facts(**changes: Any) -> Facts:
    """Return a machine without GPUs where a Python has vLLM and nothing is wrong."""
    answers = {
        "module": VLLM,
        "environ": {"PATH": "/usr/bin"},
        "python": PythonFacts(path=PYTHON, vllm_version=VERSION),
        "vllm_version": VERSION,
        "missing_models": {},
        "log_faults": {},
        "secrets": {},
        "secret_faults": {},
        **changes,
    }
    if answers["module"] == VLLM and "catalogue" not in answers:
        answers["catalogue"] = load_catalogue(answers["vllm_version"] or "")
        answers["environment_names"] = load_environment()
    return Facts(**answers)


def read_text(toml: str, overrides: str = "", *assignments: str) -> LauncherConfig:
    """Read a configuration from texts."""
    documents = [parse_toml(toml, FILE)]
    documents += [parse_overrides(overrides)] if overrides else []
    documents += [parse_assignment(each) for each in assignments]
    return read_config(tuple(documents))


def plan_text(toml: str, overrides: str = "", **facts: Any) -> LaunchPlan:
    """Plan a configuration; the facts' module is the one that it names."""
    config = read_text(toml, overrides)
    return plan_launch(config, make_facts(module=config.master.api_server_module, **facts))


def process_of(plan: LaunchPlan, name: str = "a") -> ProcessSpec:
    """Return one planned process."""
    return next(each for each in plan.processes() if each.name == name)


def flags_of(plan: LaunchPlan, name: str = "a") -> list[str]:
    """Return the words of a server behind `python -m MODULE`."""
    planned = next(each for each in plan.instances if each.instance.name == name)
    return list(planned.process.argv[len(planned.command) :])


def env_of(plan: LaunchPlan, name: str = "a") -> dict[str, str]:
    """Return the variables that are set for a server."""
    return {variable.name: variable.value for variable in process_of(plan, name).env}


def said(plan: LaunchPlan) -> str:
    """Return every problem of a plan as a user sees it."""
    pairs = sort_problems(plan.problems, Locator(plan.config.tree.documents))
    return "\n".join(render_text(problem, spot) for problem, spot in pairs)


def messages_of(plan: LaunchPlan) -> list[tuple[str, str, str]]:
    """Return severity, message and hint of every problem."""
    return [(each.severity, each.message, each.hint) for each in plan.problems]
