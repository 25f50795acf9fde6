"""Checks of single values, beside those of the reading kit: KVBM's own types and words."""

from __future__ import annotations

from launcher.config.problems import type_name
from launcher.config.reader import Refusal, string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.config.problems import TomlValue

NIXL_LIST_HINT = (
    "write a table, like UCX = {} and POSIX = {} below [nixl.backends]; "
    "a list is what vLLM's NixlConnector takes"
)


def optional(check: Callable[[TomlValue], object]) -> Callable[[TomlValue], object]:
    """Make a check that also takes JSON's null: "not set"."""

    def checked(value: TomlValue) -> object:
        return None if value is None else check(value)

    return checked


def unsigned(bits: int, least: int = 0, most: int | None = None) -> Callable[[TomlValue], int]:
    """Make a check that takes an unsigned integer of so many bits, or a narrower range."""
    top = 2**bits - 1 if most is None else most
    if most is not None:
        wanted = f"an integer, {least} to {most}"
    elif bits < 32:  # noqa: PLR2004  (a bound that people recognise)
        wanted = f"a u{bits}, an integer from {least} to {top}"
    else:
        wanted = f"an integer of at least {least}"

    def check(value: TomlValue) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            is_number = isinstance(value, str) and value.isdigit()
            hint = "remove the quotes" if is_number else f"write a number, like {max(least, 1)}"
            raise Refusal(f"expected {wanted}, got {type_name(value)}", hint)
        if not least <= value <= top:
            hint = f"write {top} or less" if value > top else f"write {least} or more"
            raise Refusal(f"expected {wanted}, got {_shortened(value)}", hint)
        return value

    return check


def _shortened(value: int) -> str:
    # Python refuses to print integers of more than 4,300 digits.
    return str(value) if abs(value) < 10**40 else "a much larger one"


def gigabytes(value: TomlValue) -> float:
    """Take a size in 10^9 bytes; an integer will do.

    Raises:
        Refusal: not a number, below zero, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = "write a number without unit and quotes"
        raise Refusal(f"expected a number of gigabytes, got {type_name(value)}", hint)
    if not 0 <= value < 1e18:  # noqa: PLR2004  (what a float of bytes still counts)
        shown = _shortened(value) if isinstance(value, int) else value
        hint = "write a number of 10^9 bytes, like 4.0"
        raise Refusal(f"expected a number of gigabytes, 0 or more, got {shown}", hint)
    return float(value)


def text(value: TomlValue) -> str:
    """Take a string that is not empty and that can be written as UTF-8.

    Raises:
        Refusal: anything else.
    """
    checked = string(value)
    if any("\ud800" <= character <= "\udfff" for character in checked):
        raise Refusal("expected text, got half of a surrogate pair", "mend the escape")
    return checked


def ip_address(value: TomlValue) -> str:
    """Take an IPv4 or IPv6 address, and return it as written.

    Raises:
        Refusal: a host name, an address with port or zone, or no string.
    """
    # Few configurations name an address, and this import costs more than the rest of reading.
    from ipaddress import ip_address as parse_address  # noqa: PLC0415

    written = text(value)
    try:
        address = parse_address(written)
    except ValueError:
        hint = "write the port in tcp_port, and an interface's name in tcp_interface"
        raise Refusal(f"expected an IP address, got '{written}'", hint) from None
    if "%" in str(address):
        hint = "leave out what follows '%', or set tcp_interface"
        raise Refusal(f"expected an IP address without zone, got '{written}'", hint)
    return written


def texts(value: TomlValue) -> tuple[str, ...]:
    """Take a list of strings.

    Raises:
        Refusal: not a list, or something else in it.
    """
    return tuple(_each(value, text, "a list of strings"))


def words(*choices: str) -> Callable[[TomlValue], tuple[str, ...]]:
    """Make a check that takes a list of some words, each compared as written."""
    one = word(*choices)

    def check(value: TomlValue) -> tuple[str, ...]:
        return tuple(_each(value, one, "a list of words"))

    return check


def word(*choices: str) -> Callable[[TomlValue], str]:
    """Make a check that takes one of some words, compared as written."""

    def check(value: TomlValue) -> str:
        if isinstance(value, str) and value in choices:
            return value
        quoted = ", ".join(f"'{choice}'" for choice in choices)
        if not isinstance(value, str):
            raise Refusal(f"expected one of {quoted}, got {type_name(value)}", "write one of these")
        # Imported only for a user who made a mistake: difflib is not for free.
        from launcher.config.suggest import render_hint  # noqa: PLC0415

        raise Refusal(f"expected one of {quoted}, got '{value}'", render_hint(value, choices))

    return check


def _each(value: TomlValue, check: Callable[[TomlValue], str], what: str) -> list[str]:
    if not isinstance(value, list):
        hint = "put it in brackets, like [...]"
        raise Refusal(f"expected {what}, got {type_name(value)}", hint)
    checked = []
    for position, item in enumerate(value):
        try:
            checked.append(check(item))
        except Refusal as refusal:
            raise Refusal(refusal.message, refusal.hint, (position, *refusal.at)) from None
    return checked


def backends(value: TomlValue) -> dict[str, dict[str, str]]:
    """Take the table of NIXL backends: names to tables of strings.

    Raises:
        Refusal: a list, which vLLM's own NIXL connector wants; a parameter that is no string.
    """
    if isinstance(value, list):
        raise Refusal("expected a table of backends, got an array", NIXL_LIST_HINT)
    if not isinstance(value, dict):
        raise Refusal(f"expected a table of backends, got {type_name(value)}", NIXL_LIST_HINT)
    return {_name(name): _parameters(name, inner) for name, inner in value.items()}


def _name(name: str) -> str:
    try:
        return text(name)
    except Refusal as refusal:
        raise Refusal(f"a name in it: {refusal.message}", refusal.hint) from None


def _parameters(name: str, value: TomlValue) -> dict[str, str]:
    if not isinstance(value, dict):
        message = f"expected a table of parameters, got {type_name(value)}"
        raise Refusal(message, f"write {name} = {{}}", (name,))
    return {_name(key): _parameter(name, key, inner) for key, inner in value.items()}


def _parameter(name: str, key: str, value: TomlValue) -> str:
    if not isinstance(value, str):
        hint = "write it in quotes"
        raise Refusal(f"expected a string, got {type_name(value)}", hint, (name, key))
    try:
        return text(value) if value else value
    except Refusal as refusal:
        raise Refusal(refusal.message, refusal.hint, (name, key)) from None
