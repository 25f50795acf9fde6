"""One spelling for what may be written in two ways, in each layer before merging.

Discovery is a nested table (`[nova.discovery.etcd]`) in the manual's TOML and a tagged one
(`{"type": "etcd", ...}`) in its JSON; here it is tagged. Names of NIXL backends are upper case,
because KVBM looks them up so. Where a normalised value was written is kept beside it.
"""

from __future__ import annotations

from launcher.config.problems import type_name
from launcher.kvbm.fields import DISCOVERY_KINDS
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from launcher.config.problems import Path, TomlValue

    # Called with a path as written, a message, and a hint.
    Complain: TypeAlias = Callable[[Path, str, str], None]

DISCOVERY = ("nova", "discovery")
BACKENDS = ("nixl", "backends")


@record
class Spelled:
    """Settings in one spelling; `written` maps a path in them to the path that was written."""

    data: Mapping[str, TomlValue]
    written: Mapping[Path, Path]


def normalise(data: Mapping[str, TomlValue], complain: Complain) -> Spelled:
    """Return the settings in one spelling. What contradicts itself is complained about."""
    written: dict[Path, Path] = {}
    data = _replaced(data, DISCOVERY, lambda table: _tagged(table, written, complain))
    data = _replaced(data, BACKENDS, lambda table: _upper(table, written, complain))
    return Spelled(data=data, written=written)


def _replaced(
    data: Mapping[str, TomlValue],
    path: tuple[str, str],
    change: Callable[[dict[str, TomlValue]], dict[str, TomlValue]],
) -> Mapping[str, TomlValue]:
    outer = data.get(path[0])
    inner = outer.get(path[1]) if isinstance(outer, dict) else None
    if not isinstance(outer, dict) or not isinstance(inner, dict):
        return data
    return {**data, path[0]: {**outer, path[1]: change(inner)}}


def _tagged(
    table: dict[str, TomlValue], written: dict[Path, Path], complain: Complain
) -> dict[str, TomlValue]:
    kinds = [kind for kind in DISCOVERY_KINDS if table.get(kind) is not None]
    rest = {key: value for key, value in table.items() if key not in DISCOVERY_KINDS}
    if not kinds:
        return rest
    kind = kinds[0]
    if len(kinds) > 1:
        message = f"discovery is either '{kind}' or '{kinds[1]}', not both"
        complain((*DISCOVERY, kinds[1]), message, "remove one of the two tables")
    if rest.get("type", kind) != kind:
        message = f"the table '{kind}' contradicts the 'type' beside it"
        complain((*DISCOVERY, kind), message, "remove 'type' or the table")
    nested = table[kind]
    if not isinstance(nested, dict):
        message = f"'{kind}': expected a table, got {type_name(nested)}"
        complain((*DISCOVERY, kind), message, f"write [nova.discovery.{kind}]")
        nested = {}
    written[(*DISCOVERY, "type")] = (*DISCOVERY, kind)
    for key in nested:
        written[(*DISCOVERY, key)] = (*DISCOVERY, kind, key)
    return {"type": kind, **{k: v for k, v in rest.items() if k != "type"}, **nested}


def _upper(
    table: dict[str, TomlValue], written: dict[Path, Path], complain: Complain
) -> dict[str, TomlValue]:
    backends: dict[str, TomlValue] = {}
    for name, value in table.items():
        upper = name.upper()
        if upper in backends:
            message = f"the backend '{upper}' is given twice"
            complain((*BACKENDS, name), message, "keep one of the two")
        if upper != name:
            written[(*BACKENDS, upper)] = (*BACKENDS, name)
        backends[upper] = value
    return backends
