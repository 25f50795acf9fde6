"""Is a TOML value one that vLLM's parser takes for an option? Pure.

As lenient as that parser and no more: a quoted number is a number to it, a list for an option of
one value is an error (it keeps the last one and says nothing).
"""

from __future__ import annotations

from launcher.config.problems import type_name
from launcher.server.catalogue.sizes import find_integer, find_number, find_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from launcher.config.problems import TomlValue
    from launcher.server.catalogue.option import Option

    # What is wrong, and what to do about it.
    Fault: TypeAlias = tuple[str, str]

EXPECTED = {
    "flag": "true or false",
    "string": "a string",
    "csv": "a string or an array",
    "integer": "an integer",
    "number": "a number",
    "size": 'an integer, or a string such as "1k" or "25.6k"',
    "size_or_auto": 'an integer, "auto", or a string such as "1k" or "25.6k"',
    "json_or_string": "a table or a string",
    "flag_or_string": "true, false or a string",
    "truthy": "true or false",
}
JSON_EXPECTED = {"object": "a table", "array": "an array", "any": "a table or an array"}
JSON_TYPES: dict[str, tuple[type, ...]] = {"object": (dict,), "array": (list,), "any": (dict, list)}
JSON_STARTS = {"object": "{", "array": "[", "any": ""}
SIZE_LETTERS = "kKmMgGtT"


def check_value(option: Option, value: TomlValue) -> Fault | None:
    """Return what is wrong with a value, and a hint; None if vLLM's parser takes it.

    Never shows the value of a secret option.
    """
    foreign = _check_sayable(value)
    if foreign:
        return foreign
    if isinstance(value, list) and not _takes_whole_list(option):
        return _check_list(option, value)
    return _check_one(option, value)


def _takes_whole_list(option: Option) -> bool:
    return option.kind == "json" and not option.several and not option.append


def _check_list(option: Option, values: list[TomlValue]) -> Fault | None:
    takes_many = option.several or option.append or option.kind == "csv"
    if not takes_many and len(values) != 1:
        return _refused_list(option, values)
    if option.nargs.isdigit() and len(values) != int(option.nargs):
        return f"takes {option.nargs} values, got {len(values)}", f"give {option.nargs} values"
    faults = (_check_element(option, value, alone=len(values) == 1) for value in values)
    return next((fault for fault in faults if fault), None)


def _refused_list(option: Option, values: list[TomlValue]) -> Fault:
    expected = expected_of(option)
    if not values:
        return f"expected {expected}, got an empty array", "leave the key out"
    return (
        f"expected {expected}, got an array of {len(values)}: vLLM would use only the last one",
        "keep one of them",
    )


def _check_element(option: Option, value: TomlValue, *, alone: bool) -> Fault | None:
    text = value if isinstance(value, str) else ""
    if isinstance(value, (list, bool)):
        message = f"expected {expected_of(option)} as element, got {type_name(value)}"
        return message, "give the value itself, without brackets around it"
    if option.kind == "csv" and "," in text:
        return "an element holds a comma, which separates elements", "split it into two elements"
    if option.several and not alone and text.startswith("-") and find_integer(text) is None:
        # `--key a -b` makes `-b` a flag, and `--key=-b a` gives only one value.
        return "an element of several cannot begin with '-'", "give it alone or by extra_args"
    return _check_one(option, value)


def _check_one(option: Option, value: TomlValue) -> Fault | None:
    if value == "--":  # even as `--key=--`: argparse takes it out and leaves an empty list
        return "'--' cannot be the value of a flag", "choose another value"
    if option.optional and value in ("", "None"):
        return None
    if not CHECKS[option.kind](option, value):
        return _refused(option, value)
    return _check_choice(option, value) if option.choices and not option.suggested else None


def _check_choice(option: Option, value: TomlValue) -> Fault | None:
    if isinstance(value, str) and option.kind in {"integer", "size"}:
        value = find_integer(value)
    text = str(value).lower().replace("-", "_") if option.folded else str(value)
    known = [str(choice) for choice in option.choices]
    if text in known:
        return None
    # Imported only for a user who made a mistake: difflib is not for free.
    from launcher.config.suggest import find_nearest  # noqa: PLC0415

    nearest = None if option.kind == "integer" else find_nearest(text, known)
    hint = f"did you mean '{nearest}'?" if nearest else "one of " + ", ".join(known)
    return f"'{text}' is not a choice", hint


def _refused(option: Option, value: TomlValue) -> Fault:
    expected = expected_of(option)
    if isinstance(value, str) and not option.secret and len(value) < 40:  # noqa: PLR2004
        got = f"the string '{value}'"
    else:
        got = type_name(value)
    return f"expected {expected}, got {got}", _hint(option, value)


def _hint(option: Option, value: TomlValue) -> str:
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return f"write {value.lower()} without quotes"
    if isinstance(value, dict):
        return "this option takes no JSON: give its value itself"
    if isinstance(value, bool):
        return "give it a value, or leave the key out"
    if isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    return f"give {expected_of(option)}"


def expected_of(option: Option) -> str:
    """Say what an option takes: "an integer"."""
    if option.kind == "json":
        return JSON_EXPECTED[option.json or "any"]
    return EXPECTED[option.kind]


def _check_sayable(value: TomlValue) -> Fault | None:
    """Refuse what neither a command line nor JSON can say, however deep it is."""
    if isinstance(value, (dict, list)):
        inner = value.values() if isinstance(value, dict) else value
        faults = (_check_sayable(item) for item in inner if item is not None)
        return next((fault for fault in faults if fault), None)
    if isinstance(value, float) and value - value != 0:  # infinite, or not a number
        return f"expected a finite number, got {value}", "give a finite number"
    if isinstance(value, str):
        return (
            ("a NUL character cannot be passed to a program", "remove it")
            if "\0" in value
            else None
        )
    if isinstance(value, (int, float)):
        return None
    return (
        f"expected a value that vLLM knows, got {type_name(value)}",
        'put it in quotes, like "..."',
    )


def _is_integer(_: Option, value: TomlValue) -> bool:
    if isinstance(value, str):
        return find_integer(value) is not None
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: Option, value: TomlValue) -> bool:
    if isinstance(value, str):
        return find_number(value) is not None
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_size(option: Option, value: TomlValue) -> bool:
    if isinstance(value, str):
        is_auto = option.kind == "size_or_auto" and value.strip().lower() == "auto"
        return is_auto or find_size(value) is not None
    return _is_integer(option, value)


def _is_text(_: Option, value: TomlValue) -> bool:
    """A number is taken for a text too: a revision of digits, an optimisation level."""
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _is_json(option: Option, value: TomlValue) -> bool:
    if isinstance(value, str):
        return _is_json_text(value, JSON_STARTS[option.json or "any"])
    return isinstance(value, JSON_TYPES[option.json or "any"])


def _is_json_text(text: str, start: str) -> bool:
    if not text.strip().startswith(start):
        return False
    import json  # noqa: PLC0415  (see `option.parse_json`)

    try:
        json.loads(text)
    except ValueError:
        # vLLM expands `{"cpu_bytes": 80m}`, which is no JSON: leave those to it.
        return any(text[at - 1].isdigit() for at in range(1, len(text)) if text[at] in SIZE_LETTERS)
    return True


CHECKS: dict[str, Callable[[Option, TomlValue], bool]] = {
    "flag": lambda _, value: isinstance(value, bool),
    "string": _is_text,
    "csv": _is_text,
    "integer": _is_integer,
    "number": _is_number,
    "size": _is_size,
    "size_or_auto": _is_size,
    "json": _is_json,
    "json_or_string": lambda _, value: isinstance(value, (dict, str)),
    "flag_or_string": lambda _, value: isinstance(value, (bool, str)),
    "truthy": lambda _, value: isinstance(value, (bool, str)),
}
