"""The overrides variable: a JSON object that is merged over the TOML file.

Apart from `document`, because a run without overrides need not import `json`.
"""

from __future__ import annotations

import json

from launcher.config.document import Document
from launcher.config.limits import require_sane
from launcher.config.problems import Origin, Problem
from launcher.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from launcher.config.problems import TomlValue

VARIABLE = "AUTO_INFER_VLLM_OVERRIDES"
EXAMPLE = '{"instance": {"demo": {"server": {"port": 8001}}}}'


def parse_overrides(text: str, variable: str = VARIABLE, example: str = EXAMPLE) -> Document:
    """Parse a JSON object; `null` means "remove this key" (RFC 7396).

    `variable` is where the text comes from, and `example` what it could be, for messages.

    Raises:
        ConfigError: not JSON, not an object, a key given twice, or a number that JSON lacks.
    """
    origin = Origin(kind="override", name=variable)
    try:
        data = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        problem = Problem(
            message=f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}",
            hint=f"write one object, like {example}",
            origin=origin,
            line=error.lineno,
            column=error.colno,
        )
        raise ConfigError((problem,)) from None
    except RecursionError:
        raise _refused("this JSON is nested too deeply", "use fewer levels", origin) from None
    except _UnfitError as error:
        raise _refused(error.message, error.hint, origin) from None
    except ValueError:
        # From int() on thousands of digits.
        message = "an integer in this does not fit into 64 bits"
        raise _refused(message, "write a smaller number", origin) from None
    if not isinstance(data, dict):
        message = f"expected a JSON object, got {_json_name(data)}"
        raise _refused(message, f"write one object, like {example}", origin)
    require_sane(data, origin)
    return Document(origin=origin, text=text, data=data)


class _UnfitError(Exception):
    """The text is JSON for Python's parser, but not for us."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def _refused(message: str, hint: str, origin: Origin) -> ConfigError:
    return ConfigError((Problem(message=message, hint=hint, origin=origin),))


def _no_duplicates(pairs: list[tuple[str, TomlValue]]) -> dict[str, TomlValue]:
    table: dict[str, TomlValue] = {}
    for key, value in pairs:
        if key in table:
            raise _UnfitError(f"'{key}' is given twice in one JSON object", "keep one of the two")
        table[key] = value
    return table


def _no_constant(name: str) -> NoReturn:
    raise _UnfitError(f"'{name}' is not a JSON number", "write a number that JSON has")


def _json_name(value: object) -> str:
    names = {bool: "a boolean", str: "a string", list: "an array", type(None): "null"}
    return names.get(type(value), "a number")
