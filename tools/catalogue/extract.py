"""Ask one release of vLLM for its options: `python -m tools.catalogue.extract [SOURCES]`.

Runs in a process of its own, with an interpreter that has vLLM's dependencies. Without SOURCES it
asks the vLLM installed there. Prints one JSON object: version, options by name, environment names.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.catalogue.environment import find_names
from tools.catalogue.kinds import describe_action
from tools.catalogue.releases import PARSER_CLASS_MODULES, PARSER_MODULES
from tools.catalogue.stubs import install_stubs

if TYPE_CHECKING:
    import argparse
    from types import ModuleType

# Not options of the server: `--help`, and the positional model tag of `vllm serve`.
LEFT_OUT = frozenset({"help", "model_tag"})


def main() -> None:
    """Print the options of the vLLM found first on the import path."""
    if len(sys.argv) > 1:
        sys.path.insert(0, os.path.abspath(sys.argv[1]))
    sys.argv = ["vllm", "--help"]  # vLLM reads the texts of its help only if this is asked for
    install_stubs()
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(sys.stderr):
        _force_platform()
        parser = make_parser()
        found = {
            "actions": len(parser._actions),  # noqa: SLF001
            "options": describe_parser(parser),
            "environment": find_names(_package_folder("vllm")),
        }
    json.dump(found, sys.stdout)


def make_parser() -> argparse.ArgumentParser:
    """Build the parser of the OpenAI-compatible server, wherever this release keeps it."""
    module = _first_of(PARSER_MODULES, "make_arg_parser")
    parser_class = _first_of(PARSER_CLASS_MODULES, "FlexibleArgumentParser").FlexibleArgumentParser
    made: argparse.ArgumentParser = module.make_arg_parser(parser_class())
    return made


def describe_parser(parser: argparse.ArgumentParser) -> dict[str, dict[str, Any]]:
    """Describe every option, by the name that its first long flag spells."""
    deprecated: set[argparse.Action] = getattr(parser, "_deprecated", set())
    options: dict[str, dict[str, Any]] = {}
    flags: dict[argparse.Action, list[str]] = {}
    for flag, action in parser._option_string_actions.items():  # noqa: SLF001
        flags.setdefault(action, []).append(flag)
    for group in parser._action_groups:  # noqa: SLF001
        title = "" if group.title in {"options", "positional arguments"} else group.title or ""
        for action in group._group_actions:  # noqa: SLF001
            if action.dest not in LEFT_OUT:
                is_deprecated = action in deprecated or getattr(action, "deprecated", False)
                facts = describe_action(action, flags[action], title, deprecated=is_deprecated)
                options[_key_of(action)] = facts
    return options


def _key_of(action: argparse.Action) -> str:
    long_flags = [flag for flag in action.option_strings if flag.startswith("--")]
    same = "--" + action.dest.replace("_", "-")
    first = same if same in long_flags else long_flags[0]
    return first.removeprefix("--").replace("-", "_")


def _force_platform() -> None:
    """Make every release believe that it runs on a CPU, the one platform present everywhere."""
    platforms = importlib.import_module("vllm.platforms")
    cpu = importlib.import_module("vllm.platforms.cpu")
    platforms._current_platform = cpu.CpuPlatform()  # type: ignore[attr-defined]  # noqa: SLF001


def _first_of(names: tuple[str, ...], attribute: str) -> ModuleType:
    for name in names:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(error.name + ".")):
                continue
            raise
        if hasattr(module, attribute):
            return module
    raise LookupError(f"no module has {attribute}: {', '.join(names)}")


def _package_folder(name: str) -> Path:
    path = importlib.import_module(name).__file__
    if path is None:
        raise LookupError(f"package {name} has no file")
    return Path(path).parent


if __name__ == "__main__":
    main()
