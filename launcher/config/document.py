"""Documents: a text and what it parses to, from each place a setting can come from.

Sources: the TOML file, the JSON object in `AUTO_INFER_VLLM_OVERRIDES`, and `--set PATH=VALUE`.
Nothing here touches the disk or the environment: callers hand over the text.
"""

from __future__ import annotations

import tomli

from launcher.config.limits import require_sane
from launcher.config.problems import Origin, Problem, dotted
from launcher.errors import ConfigError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import TomlValue

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@record
class Document:
    """One source of settings. `data` is never changed after parsing."""

    origin: Origin
    text: str
    data: Mapping[str, TomlValue]


def parse_toml(text: str, origin: Origin) -> Document:
    """Parse a TOML document.

    Raises:
        ConfigError: the text is not TOML (the problem carries line and column), or it holds what
            `launcher.config.limits` refuses.
    """
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        message, hint = _explained(error.msg)
        problem = Problem(
            message=message, hint=hint, origin=origin, line=error.lineno, column=error.colno
        )
        shown = Document(origin=origin, text=text, data={})
        raise ConfigError((problem,), (shown,)) from None
    except (ValueError, RecursionError) as error:
        # tomli lets both through: from int() on thousands of digits, and from its own limits.
        shown = Document(origin=origin, text=text, data={})
        raise ConfigError((_too_much(error, origin, text),), (shown,)) from None
    document = Document(origin=origin, text=text, data=data)
    try:
        require_sane(data, origin)
    except ConfigError as error:
        raise ConfigError(error.problems, (document,)) from None
    return document


def decode_toml(raw: bytes, origin: Origin) -> Document:
    """Decode UTF-8 (a byte order mark is accepted, as editors on Windows write one) and parse.

    Raises:
        ConfigError: the bytes are not UTF-8, or the text is not TOML.
    """
    encoded = raw.removeprefix(BYTE_ORDER_MARK)
    try:
        text = encoded.decode()
    except UnicodeDecodeError as error:
        before = encoded[: error.start]
        problem = Problem(
            message=f"this is not UTF-8: byte 0x{encoded[error.start]:02x}",
            hint="save the file as UTF-8",
            origin=origin,
            line=before.count(b"\n") + 1,
            column=len(before[before.rfind(b"\n") + 1 :].decode()) + 1,
        )
        raise ConfigError((problem,)) from None
    return parse_toml(text, origin)


def parse_assignment(argument: str) -> Document:
    """Parse `PATH=VALUE`: PATH is a TOML key, VALUE is TOML, or else a string as it stands.

    Raises:
        ConfigError: there is no '=', or PATH is not a TOML key.
    """
    # A quoted key may hold a '=' too, so the first one that leaves a key before it counts.
    equals = argument.find("=")
    while equals != -1:
        data = _parse_key(argument[:equals])
        if data is not None:
            # The value stays out of the name, which messages show: it may be a secret.
            origin = Origin(kind="argument", name=f"--set {argument[:equals].strip()}")
            _fill(data, _toml_or_string(argument[equals + 1 :], origin))
            require_sane(data, origin)
            return Document(origin=origin, text=argument, data=data)
        equals = argument.find("=", equals + 1)
    problem = Problem(
        message="this is not PATH=VALUE",
        hint="write it like --set instance.demo.server.port=8001",
        origin=Origin(kind="argument", name=f"--set {_beginning(argument)}"),
    )
    raise ConfigError((problem,))


def _parse_key(text: str) -> dict[str, TomlValue] | None:
    """Return nested tables with one leaf for a TOML key; None if the text is not one."""
    # These would start a header, a comment or a second line instead of a key.
    if "\n" in text or text.lstrip()[:1] in {"[", "#"}:
        return None
    try:
        return tomli.loads(f"{text} = 0")
    except (tomli.TOMLDecodeError, RecursionError):
        return None


def _beginning(argument: str) -> str:
    """Return as much of a misspelled argument as looks like a key: a secret may follow it."""
    end = 0
    while end < len(argument) and (argument[end].isalnum() or argument[end] in "._-"):
        end += 1
    return argument[:end] + ("..." if end < len(argument) else "")


def _toml_or_string(value: str, origin: Origin) -> TomlValue:
    try:
        parsed = tomli.loads(f"value = {value}")
    except tomli.TOMLDecodeError:
        return value
    except (ValueError, RecursionError) as error:
        raise ConfigError((_too_much(error, origin),)) from None
    # "1\nother = 2" would parse, as two settings; the user gave one value.
    return parsed["value"] if len(parsed) == 1 else value


def _fill(table: dict[str, TomlValue], value: TomlValue) -> None:
    """Put `value` in the place of the only leaf of a nested table."""
    (key,) = table
    inner = table[key]
    if isinstance(inner, dict):
        _fill(inner, value)
    else:
        table[key] = value


def _explained(message: str) -> tuple[str, str]:
    """Return a message and a hint for what tomli says about a text it does not take."""
    mend = "mend the line, then run 'vllmd check' again"
    if message == "Cannot overwrite a value" or message.startswith("Duplicate inline table key"):
        return "this key or table is already set above", "keep one of the two"
    if message.startswith("Cannot declare "):
        parts = message.removeprefix("Cannot declare (").removesuffix(") twice").split(", ")
        header = dotted(tuple(part.strip("',\"") for part in parts))
        return f"[{header}] is already declared above", "put its keys into one table"
    if message == "Invalid value":
        return "this is not a TOML value", 'put text in quotes, like "text"; write true or false'
    if message == "Expected newline or end of document after a statement":
        message = "the value ends here, and something follows it"
        return message, "put several values in brackets, like [0, 1], and text in quotes"
    return f"this is not TOML: {message[:1].lower()}{message[1:]}", mend


def _too_much(error: Exception, origin: Origin, text: str = "") -> Problem:
    if isinstance(error, RecursionError):
        return Problem(message="this is nested too deeply", hint="use fewer levels", origin=origin)
    message, hint = "an integer in this does not fit into 64 bits", "write a smaller number"
    import re  # noqa: PLC0415  (a mistake that few make)

    found = re.search(r"[0-9_]{4300}", text)  # what Python's int() takes has fewer digits
    before = text[: found.start()] if found else ""
    return Problem(
        message=message,
        hint=hint,
        origin=origin,
        line=before.count("\n") + 1 if found else 0,
        column=len(before) - before.rfind("\n") if found else 0,
    )
