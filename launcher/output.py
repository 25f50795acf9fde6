"""Errors and problems on standard error, as a person wants them."""

from __future__ import annotations

import os
import sys

from launcher.config.printable import printable
from launcher.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from launcher.config.document import Document
    from launcher.config.problems import Problem
    from launcher.errors import LauncherError


def wants_colour(stream: TextIO) -> bool:
    """Tell whether to colour: on a terminal, unless NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def print_problems(
    problems: Iterable[Problem], documents: Iterable[Document], stream: TextIO | None = None
) -> None:
    """Print problems in the order of their places, then how many there are."""
    problems = tuple(problems)
    if not problems:
        return
    # To find the place of a problem takes much that nobody else needs.
    from launcher.config.report import (  # noqa: PLC0415
        Locator,
        render_count,
        render_text,
        sort_problems,
    )

    stream = stream or sys.stderr
    pairs = sort_problems(problems, Locator(documents))
    colour = wants_colour(stream)
    for problem, spot in pairs:
        print(render_text(problem, spot, colour=colour), file=stream)
    count = render_count(problem for problem, _ in pairs)
    if count:
        print(count, file=stream)


def print_error(error: LauncherError, stream: TextIO | None = None) -> None:
    """Print an error and its hint; all problems of a `ConfigError`."""
    stream = stream or sys.stderr
    if isinstance(error, ConfigError):
        print_problems(error.problems, error.documents, stream)
        return
    red, end = ("\x1b[31;1m", "\x1b[0m") if wants_colour(stream) else ("", "")
    print(f"{red}error{end}: {printable(error.message)}", file=stream)
    if error.hint:
        print(f"hint: {printable(error.hint)}", file=stream)
