"""From a table of the merged tree to typed values, collecting every problem on the way.

What a table may hold is a tuple of `Key` rows. From the same rows come reading, the reference
tables in docs/, and `vllmd explain`, so they cannot disagree.
"""

from __future__ import annotations

from launcher.config.problems import ERROR, Problem, dotted, type_name
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.config.layers import Tree
    from launcher.config.problems import Path, TomlValue


@record
class Key:
    """One key that a table may hold.

    `check` turns the TOML value into the typed one, or raises `Refusal`. `expected` says what it
    accepts, for the reference tables.
    """

    name: str
    check: Callable[[TomlValue], object]
    expected: str
    doc: str
    default: object = None
    default_words: str = ""  # where the default is not a value but a rule


class Refusal(Exception):  # noqa: N818  (it is control flow between a check and the reader)
    """A check's answer to a value it does not take."""

    def __init__(self, message: str, hint: str = "", at: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at = at  # the path below the value, where the culprit is inside it


class Problems:
    """Collects problems of one tree: each with the origin of the value it is about."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.found: list[Problem] = []

    def add(  # noqa: PLR0913  (a problem has that many parts)
        self,
        path: Path,
        message: str,
        hint: str = "",
        *,
        severity: str = ERROR,
        at_key: bool = False,
        missing: bool = False,
    ) -> None:
        """Note a problem with the value (or the key) at `path`."""
        self.found.append(
            Problem(
                message=message,
                hint=hint,
                severity=severity,
                origin=self.tree.origin(path),
                path=path,
                at_key=at_key,
                missing=missing,
            )
        )

    def unknown(
        self, path: Path, known: Mapping[str, object] | tuple[str, ...], hint: str = ""
    ) -> None:
        """Note a key that nobody reads, with the known one nearest to it or a better hint."""
        # Imported only for a user who made a mistake: difflib is not for free.
        from launcher.config.suggest import render_hint  # noqa: PLC0415

        # The place of a value that is not in a file is its whole path: no need to say it twice.
        in_file = self.tree.origin(path).kind == "file"
        inside = f" in [{dotted(path[:-1])}]" if in_file and len(path) > 1 else ""
        message = f"unknown key '{path[-1]}'{inside}"
        self.add(path, message, hint or render_hint(str(path[-1]), known), at_key=True)


def read_table(
    value: TomlValue, path: Path, problems: Problems, what: str = "a table"
) -> Mapping[str, TomlValue]:
    """Return `value` if it is a table; else note the problem and return an empty one."""
    if isinstance(value, dict):
        return value
    problems.add(path, f"expected {what}, got {type_name(value)}", f"write [{dotted(path)}]")
    return {}


def read_keys(
    table: Mapping[str, TomlValue],
    path: Path,
    keys: tuple[Key, ...],
    problems: Problems,
    tables: tuple[str, ...] = (),
) -> dict[str, object]:
    """Return the checked values of the keys that the table holds; the rest are not in the result.

    Unknown keys and refused values become problems. `tables` are keys that the caller reads
    itself: they are left alone, and offered to whoever misspelled one.
    """
    known = {key.name: key for key in keys}
    values: dict[str, object] = {}
    for name, value in table.items():
        key = known.get(name)
        if name in tables:
            continue
        if key is None:
            problems.unknown((*path, name), (*known, *tables))
            continue
        try:
            values[name] = key.check(value)
        except Refusal as refusal:
            problems.add((*path, name, *refusal.at), refusal.message, refusal.hint)
    return values


def defaults(keys: tuple[Key, ...]) -> dict[str, object]:
    """Return the default of every key."""
    return {key.name: key.default for key in keys}


# Checks. A boolean is not an integer here, whatever Python thinks.


def boolean(value: TomlValue) -> bool:
    """Take true or false.

    Raises:
        Refusal: anything else.
    """
    if isinstance(value, bool):
        return value
    hint = "write true or false"
    if isinstance(value, str) and value.lower() in {"true", "false", "yes", "no", "on", "off"}:
        word = "true" if value.lower() in {"true", "yes", "on"} else "false"
        hint = f"write {word} without quotes"
    elif isinstance(value, int) and value in {0, 1}:
        hint = f"write {'true' if value else 'false'}"
    raise Refusal(f"expected a boolean, got {type_name(value)}", hint)


def string(value: TomlValue) -> str:
    """Take a string that is not empty.

    Raises:
        Refusal: anything else, or a NUL character, which no process can be given.
    """
    if not isinstance(value, str):
        several = isinstance(value, list | dict)
        hint = "write one string" if several else 'put it in quotes, like "..."'
        raise Refusal(f"expected a string, got {type_name(value)}", hint)
    if not value:
        raise Refusal("expected a string that is not empty", "remove the key or give it a value")
    if "\0" in value:
        raise Refusal("a NUL character cannot be passed to a program", "remove the NUL character")
    return value


def path_name(value: TomlValue) -> str:
    """Take an absolute path inside the container (contract: all paths are paths inside it).

    Raises:
        Refusal: not a string, or not absolute.
    """
    text = string(value)
    if not text.startswith("/"):
        raise Refusal(f"expected an absolute path, got '{text}'", "begin it with '/'")
    return text


def one_of(*choices: str) -> Callable[[TomlValue], str]:
    """Make a check that takes one of some words."""

    def check(value: TomlValue) -> str:
        text = string(value)
        if text in choices:
            return text
        from launcher.config.suggest import find_nearest  # noqa: PLC0415  (see Problems.unknown)

        quoted = ", ".join(f"'{choice}'" for choice in choices)
        nearest = find_nearest(text, choices)
        hint = f"did you mean '{nearest}'?" if nearest else "write one of these"
        raise Refusal(f"expected one of {quoted}, got '{text}'", hint)

    return check


def integer(least: int, most: int | None = None) -> Callable[[TomlValue], int]:
    """Make a check that takes an integer from `least` to `most`."""
    wanted = f"an integer of at least {least}" if most is None else f"an integer, {least} to {most}"

    def check(value: TomlValue) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            is_number = isinstance(value, str) and value.isascii() and value.isdigit()
            hint = "remove the quotes" if is_number else f"write a number, like {max(least, 1)}"
            raise Refusal(f"expected {wanted}, got {type_name(value)}", hint)
        if value < least or (most is not None and value > most):
            hint = f"write {most} or less" if value > least else f"write {least} or more"
            raise Refusal(f"expected {wanted}, got {value}", hint)
        return value

    return check


def seconds(value: TomlValue) -> float:
    """Take a duration in seconds: a number above zero.

    Raises:
        Refusal: not a number, not above zero, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = "write seconds as a number, without quotes"
        raise Refusal(f"expected a number of seconds, got {type_name(value)}", hint)
    if not 0 < value < float("inf"):
        hint = (
            "write a number above 0, like 30" if value <= 0 else "write a finite number, like 3600"
        )
        raise Refusal(f"expected a number of seconds above 0, got {value}", hint)
    return float(value)
