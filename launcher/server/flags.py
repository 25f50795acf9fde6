"""From `[instance.*.server]` to vLLM's command line (contract, section 3b).

`launcher.server.catalogue` knows vLLM's options; where it does not know one (an API server that is
not vLLM's, or an option newer than the catalogue), the contract's rules alone hold. Here is what
holds for all of them: what can be the name of an option, and what can be in a value at all.
"""

from __future__ import annotations

from launcher.config.problems import type_name
from launcher.config.reader import Refusal
from launcher.server.catalogue.tokens import render_tokens
from launcher.server.catalogue.values import check_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import Path, TomlValue
    from launcher.server.catalogue.option import Option

INFINITE = (float("inf"), float("-inf"))


def translate(name: str, value: TomlValue, known: Option | None) -> tuple[str, ...]:
    """Return the tokens of one setting; `known` is what the catalogue says of the option.

    Raises:
        Refusal: the name or the value cannot become tokens at all.
    """
    check_name(name)
    require_passable(value, ())
    if known is None:
        require_plain(value)
    return tuple(render_tokens(name, value, known))


def find_fault(value: TomlValue, known: Option) -> tuple[str, str] | None:
    """Return what vLLM's parser would not take about a value, and a hint; None if it takes it."""
    return check_value(known, value)


def check_name(name: str) -> None:
    """Refuse what cannot be the name of an option.

    Raises:
        Refusal: a character that no option has, or leading hyphens.
    """
    if name.startswith("_"):
        bare = name.lstrip("_") or "name"
        raise Refusal("an option is written without its leading hyphens", f"write '{bare}'")
    if not name or not all(c.isascii() and (c.isalnum() or c in "_.") for c in name):
        raise Refusal("this cannot be the name of an option", "use letters, digits and '_'")


def require_passable(value: TomlValue, at: Path) -> None:
    """Refuse what no command line can carry, also deep inside a value.

    Raises:
        Refusal: a date, a number that is not finite, a NUL character or a lone surrogate.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            require_passable(inner, (*at, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            require_passable(inner, (*at, position))
    elif isinstance(value, str):
        _require_text(value, at)
    elif isinstance(value, float):
        if value != value or value in INFINITE:  # noqa: PLR0124  (NaN differs from itself)
            raise Refusal(f"expected a finite number, got {value}", "write a number", at)
    elif value is not None and not isinstance(value, int):
        wanted = "a string, number, boolean, array or table"
        raise Refusal(f"expected {wanted}, got {type_name(value)}", 'put it in quotes: "..."', at)


def require_plain(value: TomlValue) -> None:
    """Refuse arrays that the contract's "repeat the flag" gives no meaning to.

    Raises:
        Refusal: an array or a boolean inside an array.
    """
    for position, inner in enumerate(value if isinstance(value, list) else []):
        if isinstance(inner, bool | list):
            wanted = "strings, numbers or tables in the array"
            hint = "put it in quotes" if isinstance(inner, bool) else "leave out the inner brackets"
            raise Refusal(f"expected {wanted}, got {type_name(inner)}", hint, (position,))


def _require_text(value: str, at: Path) -> None:
    if "\0" in value:
        message = "a NUL character cannot be passed to a program"
        raise Refusal(message, "remove the NUL character", at)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Refusal("a lone surrogate is not a character", "mend the escape", at) from None
