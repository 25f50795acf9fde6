"""Variables that the configuration sets in vain: vLLM would not read them, or others win."""

from __future__ import annotations

from launcher.config.problems import WARNING
from launcher.server.catalogue.texts import (
    environment_history,
    environment_known,
    environment_names,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.reader import Problems
    from launcher.server.catalogue.lookup import Catalogue
    from launcher.server.facts import Facts
    from launcher.server.model import EnvSetting, Instance

PREFIX = "VLLM_"


def check_environment(instances: tuple[Instance, ...], facts: Facts, problems: Problems) -> None:
    """Warn of variables that vLLM does not know, and of a `CUDA_VISIBLE_DEVICES` in vain."""
    for instance in instances:
        for setting in instance.env:
            check_variable(setting, facts, problems)
            if setting.name == "CUDA_VISIBLE_DEVICES" and "gpu_ids" in instance.control_paths:
                message = "'CUDA_VISIBLE_DEVICES' is set here, but gpu_ids replaces it"
                problems.add(setting.path, message, "keep one of the two", severity=WARNING)


def check_variable(setting: EnvSetting, facts: Facts, problems: Problems) -> None:
    """Warn of a `VLLM_*` variable that this version of vLLM would not read."""
    catalogue, known = facts.catalogue, facts.environment_names
    if catalogue is None or not setting.name.startswith(PREFIX):
        return
    if not environment_known(known, catalogue, setting.name):
        message, hint = _explain(setting.name, known, catalogue)
        problems.add(setting.path, message, hint, severity=WARNING, at_key=True)


def _explain(name: str, known: str, catalogue: Catalogue) -> tuple[str, str]:
    versions = catalogue.versions
    at = versions.index(catalogue.version)
    spans = environment_history(known, catalogue, name)
    gone = [versions.index(last) for _, last in spans if last and versions.index(last) < at]
    if gone:
        return (
            f"vLLM reads the variable '{name}' no more, since {versions[gone[-1] + 1]}",
            "remove it",
        )
    if spans:
        message = f"vLLM {catalogue.version} does not know the variable '{name}' yet"
        return message, f"use vLLM {spans[0][0]} or newer, or remove it"
    from launcher.config.suggest import find_nearest  # noqa: PLC0415  (a mistake: see options)

    # All names begin alike: that is no likeness.
    names = [each.removeprefix(PREFIX) for each in environment_names(known, catalogue)]
    nearest = find_nearest(name.removeprefix(PREFIX), names)
    hint = f"did you mean '{PREFIX}{nearest}'?" if nearest else "remove it, or correct its name"
    return f"vLLM {catalogue.version} does not know the variable '{name}'", hint
