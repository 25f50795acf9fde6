"""Words of `extra_args`: they are passed on as they are, so what is strange is told."""

from __future__ import annotations

from launcher.config.problems import WARNING
from launcher.server.secret_checks import secret_flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.reader import Problems
    from launcher.server.catalogue.lookup import Catalogue
    from launcher.server.facts import Facts
    from launcher.server.model import Instance


def check_extra_args(instances: tuple[Instance, ...], facts: Facts, problems: Problems) -> None:
    """Warn of an option that `extra_args` overrules, and of flags that vLLM does not have."""
    for instance in instances:
        names = {option.name for option in instance.options}
        for word in instance.extra_args:
            if word == "--":
                break  # what follows are no flags
            if not word.startswith("--"):
                continue
            name = word.partition("=")[0].lstrip("-").replace("-", "_")
            flag, space, _ = word.partition(" ")
            if space and "=" not in flag:
                message = f"'extra_args': '{flag}' and its value are one word"
                problems.add(
                    instance.extra_args_path, message, 'write them apart: "--key", "value"'
                )
                continue
            if secret_flag(word, facts.catalogue) is not None:
                continue  # `check_secrets` refuses it
            if name in names:
                message = f"'{name}' is set, but extra_args has it too, comes later and wins"
                hint = "keep one of the two"
                option = instance.option(name)
                place = option.path if option else instance.path()
                problems.add(place, message, hint, severity=WARNING)
            elif facts.catalogue is not None and not _is_flag(name, facts.catalogue):
                _note_stranger(name, instance, facts.catalogue, problems)


def _is_flag(name: str, catalogue: Catalogue) -> bool:
    # `--compilation-config.mode` sets a key inside a JSON option.
    return catalogue.find(name.partition(".")[0]) is not None


def _note_stranger(name: str, instance: Instance, catalogue: Catalogue, problems: Problems) -> None:
    """Warn of a flag that vLLM does not have: these words are passed on as they are."""
    from launcher.server.catalogue.advice import (  # noqa: PLC0415  (see options)
        STRANGER,
        explain_unknown,
    )

    message, hint = explain_unknown(catalogue, name)
    if hint == STRANGER:  # it is in extra_args already
        hint = "correct it, or leave it if this build of vLLM has it"
    problems.add(instance.extra_args_path, f"'extra_args': {message}", hint, severity=WARNING)
