"""Problems as a person, a program, or a code review wants them.

    error: vllm.toml:14:1: unknown key 'enabld' in [instance.qwen.control]
       14 | enabld = true
          | ^^^^^^
    hint: did you mean 'enabled'?

A value from a variable or an argument has no line; its place is the source's name and the path.
"""

from __future__ import annotations

import json

from launcher.config.locate import Places, find_place, index
from launcher.config.masking import find_secrets, mask_line
from launcher.config.printable import printable
from launcher.config.problems import dotted
from launcher.config.suggest import find_nearest
from launcher.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.config.document import Document
    from launcher.config.locate import Place
    from launcher.config.problems import Origin, Path, Problem

WIDEST = 160  # characters of a line that are shown: JSON on one line may be a megabyte
BEFORE = 60  # of them, those before the caret
DOTS = "..."
MISSPELLED = 0.75  # a quarter of the letters: 'servers' is no 'secret', and 'kernl' no 'token'
SECRET_NAMES = ("api_key", "hf_token", "token", "password", "secret", "access_key", "vllm_api_key")


@record
class Spot:
    """Where a problem shows: a line and column (0 where there is none) and what to underline.

    `source` is the line without its secrets, and `caret` the column in what is left of it.
    """

    origin: Origin | None
    path: str
    line: int = 0
    column: int = 0
    length: int = 1
    source: str = ""
    caret: int = 0


class Locator:
    """Finds places in documents; each text is walked once, when first asked about."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._texts = {document.origin: document.text for document in documents}
        self._places: dict[Origin, Places] = {}
        self._secrets: dict[Origin, list[tuple[int, int]]] = {}
        self._lines: dict[Origin, list[str]] = {}

    def spot(self, problem: Problem) -> Spot:
        """Find where a problem shows."""
        spot = Spot(origin=problem.origin, path=dotted(problem.path))
        if problem.origin is None or problem.origin.kind not in {"file", "override"}:
            return spot
        if problem.line:
            return self._with_source(spot, problem.line, problem.column, 1)
        if problem.origin.kind != "file" or not problem.path:
            return spot
        place, exact = find_place(self._index(problem.origin), problem.path)
        if place is None:
            return spot
        if problem.at_key or not exact:
            hidden = place if exact and _is_like_secret(problem.path[-1]) else None
            return self._with_source(spot, place.line, place.column, place.length, hidden)
        return self._with_source(spot, place.value_line, place.value_column, place.value_length)

    def where(self, origin: Origin, path: Path) -> str:
        """Say in a word where a value comes from: `vllm.toml:14:1`, a variable, or `default`."""
        if origin.kind == "file":
            place, _ = find_place(self._index(origin), path)
            if place is not None:
                return f"{origin.name}:{place.line}:{place.column}"
        return origin.name

    def _index(self, origin: Origin) -> Places:
        if origin not in self._places:
            text = self._texts.get(origin)
            self._places[origin] = index(text) if text is not None else Places({})
        return self._places[origin]

    def _with_source(
        self, spot: Spot, line: int, column: int, length: int, hidden: Place | None = None
    ) -> Spot:
        spot = replace(spot, line=line, column=column, length=max(1, length))
        # Only files are quoted: an override is one line that may hold anything, secrets too.
        if spot.origin is None or spot.origin.kind != "file" or spot.origin not in self._texts:
            return spot
        if spot.origin not in self._lines:
            text = self._texts[spot.origin]
            self._lines[spot.origin] = text.split("\n")
            self._secrets[spot.origin] = find_secrets(text)
        lines = self._lines[spot.origin]
        if line > len(lines):
            return spot
        start = sum(len(passed) + 1 for passed in lines[: line - 1])
        secrets = self._secrets[spot.origin]
        if hidden is not None and hidden.value_line == line:
            begin = start + hidden.value_column - 1
            secrets = [*secrets, (begin, begin + hidden.value_length)]
        source, caret = mask_line(start, lines[line - 1].rstrip("\r"), secrets, column)
        return replace(spot, source=source, caret=caret)


def _is_like_secret(part: str | int) -> bool:
    """Tell whether an unknown key may be a secret's misspelled name: `VLLM_APII_KEY`."""
    return find_nearest(str(part), SECRET_NAMES, cutoff=MISSPELLED) is not None


def sort_problems(problems: Iterable[Problem], locator: Locator) -> list[tuple[Problem, Spot]]:
    """Order problems by place: by file, then line and column; those without a line come last."""
    pairs = [(problem, locator.spot(problem)) for problem in problems]
    return sorted(pairs, key=lambda pair: _order(pair[1]))


def render_text(problem: Problem, spot: Spot, *, colour: bool = False) -> str:
    """Render one problem for a terminal or a log."""
    word = _paint(problem.severity, "31;1" if problem.severity == "error" else "33;1", colour)
    lines = [f"{word}: {printable(_prefix(spot) + problem.message)}"]
    if spot.source.strip():
        number = str(spot.line)
        margin = " " * len(number)
        source, caret = _cut(spot.source, spot.caret)
        before = source[: caret - 1]
        pad = "".join("\t" if character == "\t" else " " for character in before)
        rest = len(source) - len(before)
        lines.append(f"   {number} | {printable(source)}")
        lines.append(f"   {margin} | {pad}{'^' * min(spot.length, max(1, rest))}")
    if problem.hint:
        lines.append(f"{_paint('hint', '36', colour)}: {printable(problem.hint)}")
    return "\n".join(lines)


def _cut(source: str, caret: int) -> tuple[str, int]:
    """Return the part of a very long line that is around the caret, and the caret in it."""
    if len(source) <= WIDEST:
        return source, caret
    start = max(0, min(caret - 1 - BEFORE, len(source) - WIDEST))
    behind = DOTS if start + WIDEST < len(source) else ""
    before = DOTS if start else ""
    return before + source[start : start + WIDEST] + behind, caret - start + len(before)


def render_github(problem: Problem, spot: Spot) -> str:
    """Render one problem as a workflow command that annotates a pull request."""
    message = problem.message + (f"; hint: {problem.hint}" if problem.hint else "")
    place = ""
    # Only a file of the repository can be annotated: a variable has lines, but is none.
    if spot.origin and spot.origin.kind == "file" and spot.line:
        place = f" file={_escaped(spot.origin.name)},line={spot.line},col={spot.column}"
    else:
        message = _prefix(spot) + message
    return f"::{problem.severity}{place}::{_escaped(message, data=True)}"


def render_json(pairs: Iterable[tuple[Problem, Spot]]) -> str:
    """Render all problems as a JSON list; `line` and `column` are null where there are none.

    `file` holds the file's path, or the name of the variable or argument.
    """
    return json.dumps([describe(problem, spot) for problem, spot in pairs], indent=2)


def describe(problem: Problem, spot: Spot) -> dict[str, str | int | None]:
    """Return one problem as the object that JSON output shows."""
    return {
        "severity": problem.severity,
        "path": spot.path or None,
        "file": spot.origin.name if spot.origin and spot.origin.kind != "default" else None,
        "line": spot.line or None,
        "column": spot.column or None,
        "message": problem.message,
        "hint": problem.hint or None,
    }


def render_count(problems: Iterable[Problem]) -> str:
    """Say how many errors and warnings there are; empty for a single one."""
    severities = [problem.severity for problem in problems]
    if len(severities) < 2:  # noqa: PLR2004  (a lone problem speaks for itself)
        return ""
    parts = []
    for word in ("error", "warning"):
        count = severities.count(word)
        if count:
            parts.append(f"{count} {word}{'s' if count > 1 else ''}")
    return ", ".join(parts)


def _prefix(spot: Spot) -> str:
    if spot.origin is None or spot.origin.kind == "default":
        return f"{spot.path}: " if spot.path else ""
    if spot.line:
        return f"{spot.origin.name}:{spot.line}:{spot.column}: "
    # An argument's name ends with its path: `--set instance.demo.server.port`.
    known = spot.origin.kind == "argument" and spot.origin.name.endswith(f" {spot.path}")
    inside = f" {spot.path}:" if spot.path and not known else ""
    return f"{spot.origin.name}:{inside} "


def _order(spot: Spot) -> tuple[bool, str, int, int, str]:
    name = spot.origin.name if spot.origin else ""
    return spot.line == 0, name, spot.line, spot.column, spot.path


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def _escaped(text: str, *, data: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text if data else text.replace(":", "%3A").replace(",", "%2C")
