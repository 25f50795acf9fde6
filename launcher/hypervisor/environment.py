"""Read the `VLLMD_*` variables by the registry: typed values, and every problem at once. Pure.

    reader = EnvironmentReader(environ)
    cpus = reader.integer("VLLMD_HYPERVISOR_CPU_COUNT")
    memory = reader.read("VLLMD_HYPERVISOR_MEMORY_CONFIG", parse_memory)
    warnings = reader.finish()  # raises ConfigError with all that was wrong

A variable that is empty, or blank, is not set. A refused value gives the default, so that
reading goes on to the next problem.
"""

from __future__ import annotations

import re

from launcher.config.problems import ERROR, WARNING, Origin, Problem, errors_of
from launcher.config.reader import Refusal
from launcher.errors import ConfigError
from launcher.hypervisor.variables import (
    BOOLEAN,
    CHOICE,
    INTEGER,
    LIST,
    OTHER_VARIABLES,
    PATH,
    PREFIX,
    PRESENCE,
    SECONDS,
    TEXT,
    VARIABLES,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from launcher.hypervisor.variables import Variable

    T = TypeVar("T")

SHOWN = 60  # characters of a value that a message repeats
MOST_DIGITS = 18  # of a number: more do not fit into 64 bits
TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")
# `VLLMD_HYPERVISOR_` begins half of the names: it says nothing about which one is meant.
COMMON = "HYPERVISOR_"


class EnvironmentReader:
    """The variables of one environment, and what is wrong with them.

    Unknown names are noted at once, as warnings. Names that are read have to be in the registry,
    and with the getter of their kind: anything else is our own mistake (KeyError, TypeError).
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[Problem] = find_unknown(environ)

    def given(self, name: str) -> bool:
        """Tell whether the variable is set."""
        return bool(self.environ.get(name, "").strip())

    def default_path(self, name: str) -> str:
        """Return the path that a variable has when it is not set; empty where that is unknown.

        A variable that is set to its default (`variables --env`) names nothing.
        """
        try:
            return expand_path(VARIABLES[name].default, self.environ)
        except Refusal:
            return ""

    def text(self, name: str) -> str:
        """Return the text of a variable, or its default; empty where it has none."""
        return self.read(name, str, TEXT)

    def path(self, name: str) -> str:
        """Return the path in a variable, with `~` and `$NAME` expanded."""
        return self.read(name, lambda text: expand_path(text, self.environ), PATH)

    def integer(self, name: str, least: int = 1) -> int:
        """Return the whole number in a variable, `least` or more."""
        return self.read(name, lambda text: parse_integer(text, least), INTEGER)

    def seconds(self, name: str) -> float:
        """Return the duration in a variable, in seconds."""
        return self.read(name, parse_seconds, SECONDS)

    def boolean(self, name: str) -> bool:
        """Return whether a variable says true."""
        return self.read(name, parse_boolean, BOOLEAN)

    def presence(self, name: str) -> bool:
        """Return whether a variable is set, to whatever."""
        _require_kind(VARIABLES[name], PRESENCE)
        return self.given(name)

    def choice(self, name: str) -> str:
        """Return the word in a variable that takes one of some; capitals do not matter."""
        choices = VARIABLES[name].choices
        return self.read(name, lambda text: parse_choice(text, choices), CHOICE)

    def items(self, name: str) -> tuple[str, ...]:
        """Return the parts of a list, without blanks around them and without empty ones."""
        return self.read(name, parse_list, LIST)

    def read(self, name: str, parse: Callable[[str], T], kind: str = "") -> T:
        """Return what `parse` makes of a variable's text, or of its default.

        `parse` raises `Refusal` for what it does not take. It gets the empty string where the
        variable is not set and has no default; a required one is a problem then.

        Raises:
            ConfigError: not even the default is taken (`$HOME` in it may not be set), so there is
                nothing to go on with.
        """
        variable = VARIABLES[name]
        _require_kind(variable, kind)
        if self.given(name):
            try:
                return parse(self.environ[name].strip())
            except Refusal as refusal:
                self.refuse(name, refusal.message, refusal.hint)
        elif variable.required:
            self.refuse(name, "this variable is required", f"set it: {variable.doc}")
        try:
            return parse(variable.default)
        except Refusal as refusal:
            if not errors_of(self.problems):
                self.refuse(name, refusal.message, refusal.hint)
            raise ConfigError(tuple(dict.fromkeys(self.problems))) from None

    def is_refused(self, name: str) -> bool:
        """Tell whether a variable's value is an error already, so that its default counts."""
        return any(
            each.origin is not None and each.origin.name == name
            for each in errors_of(self.problems)
        )

    def refuse(self, name: str, message: str, hint: str = "", severity: str = ERROR) -> None:
        """Note a problem with a variable's value."""
        origin = Origin(kind="environment", name=name)
        self.problems.append(Problem(message=message, hint=hint, severity=severity, origin=origin))

    def finish(self) -> tuple[Problem, ...]:
        """Return the warnings.

        Raises:
            ConfigError: there are errors; it carries them and the warnings.
        """
        found = tuple(dict.fromkeys(self.problems))
        if errors_of(found):
            raise ConfigError(found)
        return found


def find_unknown(environ: Mapping[str, str]) -> list[Problem]:
    """Return a warning for each `VLLMD_*` variable that is set, and that nobody reads."""
    known = {**VARIABLES, **OTHER_VARIABLES}
    names = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return [_unknown(name) for name in names if environ[name].strip()]


def _unknown(name: str) -> Problem:
    # Imported only for a user who made a mistake: difflib is not for free.
    from launcher.config.suggest import find_nearest  # noqa: PLC0415

    distinct = {_distinct(known): known for known in VARIABLES}
    nearest = find_nearest(_distinct(name), distinct)
    return Problem(
        message="no variable has this name, and nobody reads it",
        hint=f"did you mean '{distinct[nearest]}'?"
        if nearest
        else "'vllmd-hypervisor variables' lists the names",
        severity=WARNING,
        origin=Origin(kind="environment", name=name),
    )


def _distinct(name: str) -> str:
    return name.removeprefix(PREFIX).removeprefix(COMMON)


def _require_kind(variable: Variable, kind: str) -> None:
    if kind not in {"", variable.kind}:
        raise TypeError(f"{variable.name} holds {variable.kind}, not {kind}")


def expand_path(text: str, environ: Mapping[str, str]) -> str:
    """Return a path with `~`, `$NAME` and `${NAME}` replaced, as a shell would.

    Raises:
        Refusal: a variable in it is not set, or a control character is in it.
    """

    def value_of(match: re.Match[str]) -> str:
        name = match["name"] or match["braced"]
        value = environ.get(name, "")
        if not value:
            raise Refusal(
                f"'${name}' in it is not set", f"export {name}, or write the path in full"
            )
        return value

    if "\0" in text:
        raise Refusal("a NUL character is in no path", "remove the NUL character")
    if text == "~" or text.startswith("~/"):
        text = f"$HOME{text[1:]}"
    elif text.startswith("~"):
        raise Refusal("the folder of another user is not looked up", "write the path in full")
    path = re.sub(r"\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})", value_of, text)
    if any(character < " " for character in path):
        # It would end a line of a unit, or of an environment file.
        raise Refusal("a line break or another control character is in it", "remove it")
    return path


def parse_integer(text: str, least: int = 1) -> int:
    """Parse a whole number of at least `least`.

    Raises:
        Refusal: it is none, or too small.
    """
    wanted = f"expected a whole number of at least {least}"
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > MOST_DIGITS:
        hint = "write digits only"
        raise Refusal(f"{wanted}, got '{shown(text)}'", hint)
    if int(text) < least:
        raise Refusal(f"{wanted}, got {int(text)}", f"write {least} or more")
    return int(text)


def parse_seconds(text: str) -> float:
    """Parse a duration in seconds: a plain decimal number above zero.

    Raises:
        Refusal: anything else.
    """
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    plain = digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS
    if not plain or float(text) <= 0:
        message = f"expected a number of seconds above 0, got '{shown(text)}'"
        raise Refusal(message, "write it like 20 or 1.5")
    return float(text)


def parse_boolean(text: str) -> bool:
    """Parse true or false, also written as yes, on, 1 and no, off, 0; capitals do not matter.

    Raises:
        Refusal: anything else.
    """
    word = text.lower()
    if word not in (*TRUE_WORDS, *FALSE_WORDS):
        raise Refusal(f"expected true or false, got '{shown(text)}'", "write true or false")
    return word in TRUE_WORDS


def parse_choice(text: str, choices: tuple[str, ...]) -> str:
    """Parse one of some words; capitals do not matter.

    Raises:
        Refusal: another word.
    """
    for choice in choices:
        if choice.lower() == text.lower():
            return choice
    from launcher.config.suggest import find_nearest  # noqa: PLC0415  (see _unknown)

    quoted = ", ".join(f"'{choice}'" for choice in choices)
    nearest = find_nearest(text, choices)
    hint = f"did you mean '{nearest}'?" if nearest else "write one of these"
    raise Refusal(f"expected one of {quoted}, got '{shown(text)}'", hint)


def parse_list(text: str) -> tuple[str, ...]:
    """Parse words between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def shown(text: str) -> str:
    """Return as much of a value as a message repeats."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
