"""Documents: a text and what it parses to, from each place a setting can come from.

Sources: the TOML file, the JSON object in `AUTO_INFER_VLLM_OVERRIDES`, and `--set PATH=VALUE`.
Nothing here touches the disk or the environment: callers hand over the text.
"""

from __future__ import annotations

import tomli

from launcher.config.problems import Origin, Problem
from launcher.errors import ConfigError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import TomlValue


@record
class Document:
    """One source of settings. `data` is never changed after parsing."""

    origin: Origin
    text: str
    data: Mapping[str, TomlValue]


def parse_toml(text: str, origin: Origin) -> Document:
    """Parse a TOML document.

    Raises:
        ConfigError: the text is not TOML; the problem carries line and column.
    """
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        problem = Problem(
            message=f"this is not TOML: {_lower_first(error.msg)}",
            hint="mend the line, then run 'vllmd check' again",
            origin=origin,
            line=error.lineno,
            column=error.colno,
        )
        shown = Document(origin=origin, text=text, data={})
        raise ConfigError((problem,), (shown,)) from None
    return Document(origin=origin, text=text, data=data)


def decode_toml(raw: bytes, origin: Origin) -> Document:
    """Decode UTF-8 (a byte order mark is accepted, as editors on Windows write one) and parse.

    Raises:
        ConfigError: the bytes are not UTF-8, or the text is not TOML.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        problem = Problem(
            message=f"this is not UTF-8: byte 0x{raw[error.start]:02x}",
            hint="save the file as UTF-8",
            origin=origin,
            line=before.count(b"\n") + 1,
            column=len(before) - (before.rfind(b"\n") + 1) + 1,
        )
        raise ConfigError((problem,)) from None
    return parse_toml(text, origin)


def parse_assignment(argument: str) -> Document:
    """Parse `PATH=VALUE`: PATH is a TOML key, VALUE is TOML, or else a string as it stands.

    Raises:
        ConfigError: there is no '=', or PATH is not a TOML key.
    """
    path, equals, value = argument.partition("=")
    # The value stays out of the name, which messages show: it may be a secret.
    origin = Origin(kind="argument", name=f"--set {path}")
    try:
        # Without a '=' there is no path: the empty key is not TOML either.
        data = tomli.loads(f"{path if equals else ''} = 0")
    except tomli.TOMLDecodeError:
        problem = Problem(
            message="this is not PATH=VALUE",
            hint="write it like --set instance.demo.server.port=8001",
            origin=origin,
        )
        raise ConfigError((problem,)) from None
    _fill(data, _toml_or_string(value))
    return Document(origin=origin, text=argument, data=data)


def _toml_or_string(value: str) -> TomlValue:
    try:
        parsed = tomli.loads(f"value = {value}")
    except tomli.TOMLDecodeError:
        return value
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


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
