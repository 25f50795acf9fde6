"""The overrides variable: a JSON object that is merged over the TOML file.

Apart from `document`, because a run without overrides need not import `json`.
"""

from __future__ import annotations

import json

from launcher.config.document import Document
from launcher.config.problems import Origin, Problem
from launcher.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from launcher.config.problems import TomlValue

VARIABLE = "AUTO_INFER_VLLM_OVERRIDES"
EXAMPLE = '{"instance": {"demo": {"server": {"port": 8001}}}}'


def parse_overrides(text: str, variable: str = VARIABLE) -> Document:
    """Parse a JSON object; `null` means "remove this key" (RFC 7396).

    Raises:
        ConfigError: not JSON, not an object, a key given twice, or a number that JSON lacks.
    """
    origin = Origin(kind="override", name=variable)
    try:
        data = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        problem = Problem(
            message=f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}",
            hint=f"write one object, like {EXAMPLE}",
            origin=origin,
            line=error.lineno,
            column=error.colno,
        )
        raise ConfigError((problem,)) from None
    except (ValueError, RecursionError) as error:
        message = "this JSON is nested too deeply" if isinstance(error, RecursionError) else error
        problem = Problem(message=str(message), hint="mend the variable", origin=origin)
        raise ConfigError((problem,)) from None
    if not isinstance(data, dict):
        problem = Problem(
            message=f"expected a JSON object, got {_json_name(data)}",
            hint=f"write one object, like {EXAMPLE}",
            origin=origin,
        )
        raise ConfigError((problem,))
    return Document(origin=origin, text=text, data=data)


def _no_duplicates(pairs: list[tuple[str, TomlValue]]) -> dict[str, TomlValue]:
    table: dict[str, TomlValue] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"the key '{key}' is given twice in one JSON object")
        table[key] = value
    return table


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"'{name}' is not a JSON number")


def _json_name(value: object) -> str:
    names = {bool: "a boolean", str: "a string", list: "an array", type(None): "null"}
    return names.get(type(value), "a number")
