"""Versions of pixi, and what each of them can do. Pure.

The numbers are those of pixi's changelog and release tags.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Version: TypeAlias = tuple[int, int, int]

FORWARDS_SIGNALS = (0, 51, 0)  # before, SIGTERM ends pixi and the server lives on (pixi #4243)
HAS_AS_IS = (0, 53, 0)
HAS_EXECUTABLE = (0, 64, 0)  # -x: a word is a program, never a task of the manifest

_VERSION = re.compile(r"pixi (\d+)\.(\d+)\.(\d+)")


def parse_version(text: str) -> Version | None:
    """Parse what `pixi --version` prints; None where it is another program's answer."""
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def render_version(version: Version) -> str:
    """Return a version as it is written."""
    return ".".join(map(str, version))


def frozen_options(version: Version) -> tuple[str, ...]:
    """Return the options by which pixi solves, installs and fetches nothing."""
    return ("--as-is",) if version >= HAS_AS_IS else ("--frozen", "--no-install")


def run_options(version: Version) -> tuple[str, ...]:
    """Return the options of `pixi run` for a program that is no task, with nothing changed."""
    executable = ("--executable",) if version >= HAS_EXECUTABLE else ()
    return (*frozen_options(version), *executable)


def hook_words(program: str, version: Version, directory: str, environment: str) -> tuple[str, ...]:
    """Return the command that prints the variables of an activated environment as JSON."""
    return (
        program,
        "shell-hook",
        "--json",
        *frozen_options(version),
        "--manifest-path", directory,
        "--environment", environment,
    )  # fmt: skip
