"""From `[instance.*.server]` to vLLM's command line (contract, section 3b).

| TOML value | tokens |
|---|---|
| string, integer, float | `--key value`; `--key=value` where the value begins with `-` |
| `true` | `--key` |
| `false` | nothing |
| list | `--key v` repeated |
| table | `--key '<compact JSON>'` |

Underscores become hyphens. Where the catalogue of vLLM's options knows better than these rules,
`launcher.server.catalogue` says so.
"""

from __future__ import annotations

from launcher.config.problems import type_name
from launcher.config.reader import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import TomlValue


def flag(name: str) -> str:
    """Return an option's flag: `max_model_len` -> `--max-model-len`."""
    return "--" + name.replace("_", "-")


def translate(name: str, value: TomlValue) -> tuple[str, ...]:
    """Return the tokens of one option by the contract's rules alone.

    Raises:
        Refusal: the name or the value cannot be a flag.
    """
    check_name(name)
    key = flag(name)
    if isinstance(value, bool):
        return (key,) if value else ()
    if isinstance(value, list):
        return tuple(token for item in value for token in pair(key, list_item(item)))
    return pair(key, scalar(value))


def check_name(name: str) -> None:
    """Refuse what cannot be the name of an option.

    Raises:
        Refusal: a character that no option has, or leading hyphens.
    """
    if name.startswith("_"):
        raise Refusal("an option is written without its leading hyphens", f"write '{_bare(name)}'")
    if not name or not all(c.isascii() and (c.isalnum() or c in "_.") for c in name):
        raise Refusal("this cannot be the name of an option", "use letters, digits and '_'")


def pair(key: str, value: str) -> tuple[str, ...]:
    """Return a flag with its value; joined by '=' where the value could be taken for a flag."""
    return (f"{key}={value}",) if value.startswith("-") else (key, value)


def list_item(value: TomlValue) -> str:
    """Return one element of a list as a token.

    Raises:
        Refusal: an element that is itself a list or a boolean.
    """
    if isinstance(value, bool | list):
        raise Refusal(f"expected strings, numbers or tables in the array, got {type_name(value)}")
    return scalar(value)


def scalar(value: TomlValue) -> str:
    """Return a value as one token; a table as compact JSON.

    Raises:
        Refusal: a date, a number that is not finite, or text that no process can be given.
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124  (NaN)
            raise Refusal(f"expected a finite number, got {value}")
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return compact_json(value)
    raise Refusal(
        f"expected a string, number, boolean, array or table, got {type_name(value)}",
        'put it in quotes, like "..."',
    )


def compact_json(table: dict[str, TomlValue]) -> str:
    """Return a table as JSON without spaces, as vLLM's JSON options take it.

    Raises:
        Refusal: something inside has no place in JSON: a date, or a number that is not finite.
    """
    # Imported where a table needs it: most configurations have none.
    import json  # noqa: PLC0415

    _check_json(table, ())
    return json.dumps(table, separators=(",", ":"), ensure_ascii=False)


def _check_json(value: TomlValue, at: tuple[str | int, ...]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_json(inner, (*at, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            _check_json(inner, (*at, position))
    elif value is not None and not isinstance(value, bool | int):
        try:
            scalar(value)
        except Refusal as refusal:
            raise Refusal(refusal.message, refusal.hint, at) from None


def _text(value: str) -> str:
    if "\0" in value:
        raise Refusal("a NUL character cannot be passed to a program", "remove the NUL character")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Refusal("a lone surrogate is not a character", "mend the escape") from None
    return value


def _bare(name: str) -> str:
    return name.lstrip("_") or "name"
