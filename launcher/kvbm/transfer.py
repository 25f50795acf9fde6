"""The value of vLLM's `--kv-transfer-config`: which connector, and its three sections of settings.

vLLM builds the connector once in the scheduler and once in each worker, and hands the whole extra
configuration to both; KVBM takes the leader's part in the scheduler and the workers' part in the
workers. So the sections are handed over as such.

What files and variables say is put into the section `default`: the connector need not see the
same files, and variables do not reach every process that vLLM spawns.
"""

from __future__ import annotations

import math

from launcher.config.reader import Key, boolean, one_of
from launcher.kvbm.checks import text, unsigned
from launcher.kvbm.layers import ROLES, SHARED, find_value, merge, stack
from launcher.kvbm.model import DEFAULT_BUCKET
from launcher.kvbm.tables import UNIONS, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import TomlValue
    from launcher.kvbm.resolve import Layers

MULTI_CONNECTOR = "MultiConnector"
CLIENT = ("object", "client")

# Fields of vLLM's KVTransferConfig (0.32), but for `kv_connector_extra_config`.
TRANSFER_KEYS = (
    Key(
        name="kv_connector",
        check=text,
        expected="class name",
        default="DynamoConnector",
        doc="Class of the connector.",
    ),
    Key(
        name="kv_connector_module_path",
        check=text,
        expected="Python module",
        default="kvbm.v2.vllm.connector",
        doc="Module that holds the class.",
    ),
    Key(
        name="kv_role",
        check=one_of("kv_producer", "kv_consumer", "kv_both"),
        expected="kv_producer, kv_consumer, kv_both",
        default="kv_both",
        doc="What this server does with blocks; KVBM wants kv_both.",
    ),
    Key(
        name="kv_load_failure_policy",
        check=one_of("fail", "recompute"),
        expected="fail, recompute",
        default_words="not passed on",
        doc="What happens to a request whose blocks cannot be loaded.",
    ),
    Key(
        name="kv_buffer_device",
        check=text,
        expected="device",
        default_words="not passed on",
        doc="Device of the connector's buffer.",
    ),
    Key(
        name="kv_port",
        check=unsigned(16),
        expected="integer, 0 to 65535",
        default_words="not passed on",
        doc="Port of connectors that listen on one.",
    ),
    Key(
        name="engine_id",
        check=text,
        expected="string",
        default_words="not passed on",
        doc="Name of this engine; vLLM draws one at random.",
    ),
    Key(
        name="enable_permute_local_kv",
        check=boolean,
        expected="boolean",
        default_words="not passed on",
        doc="Let connectors that support it permute the local KV cache.",
    ),
)


def render_transfer(
    settings: Mapping[str, object], sections: Mapping[str, TomlValue]
) -> dict[str, TomlValue]:
    """Return the value of `--kv-transfer-config`; `settings` are checked `TRANSFER_KEYS`."""
    chosen = {key.name: settings.get(key.name, key.default) for key in TRANSFER_KEYS}
    passed = {name: value for name, value in chosen.items() if value is not None}
    return {**passed, "kv_connector_extra_config": dict(sections)}  # type: ignore[dict-item]


def render_multi(
    kvbm: dict[str, TomlValue], other: Mapping[str, TomlValue]
) -> dict[str, TomlValue]:
    """Return a MultiConnector of KVBM, asked first, and another connector's configuration.

    If the other one is a MultiConnector itself, KVBM joins its children.
    """
    extra = other.get("kv_connector_extra_config")
    children = extra.get("connectors") if isinstance(extra, dict) else None
    if (
        other.get("kv_connector") == MULTI_CONNECTOR
        and isinstance(extra, dict)
        and isinstance(children, list)
    ):
        joined = {**extra, "connectors": [kvbm, *children]}
        return {**other, "kv_connector_extra_config": joined}
    return {
        "kv_connector": MULTI_CONNECTOR,
        "kv_role": kvbm["kv_role"],
        "kv_connector_extra_config": {"connectors": [kvbm, dict(other)]},
    }


def render_sections(layers: Layers) -> dict[str, TomlValue]:
    """Return the three sections that all layers amount to, discovery in its tagged spelling."""
    shared = _portable(stack(layers.layers, None).data)
    _fill_bucket(shared, shared)
    sections: dict[str, TomlValue] = {SHARED: shared}
    for role in ROLES:
        own = _portable(merge(each for each in layers.layers if each.section == role).data)
        seen = stack(layers.layers, role).data
        for path in UNIONS:
            _pin_dropped(own, shared, seen, path)
        _fill_bucket(own, seen)
        sections[role] = own
    return sections


def _fill_bucket(section: dict[str, TomlValue], seen: Mapping[str, TomlValue]) -> None:
    """Name the manual's default bucket where none is given: KVBM itself has no default."""
    client = find_value(section, CLIENT)
    if isinstance(client, dict) and "type" in client:
        bucket = find_value(seen, (*CLIENT, "bucket"))
        if bucket is None:
            client["bucket"] = DEFAULT_BUCKET


def _pin_dropped(
    section: dict[str, TomlValue],
    shared: Mapping[str, TomlValue],
    seen: Mapping[str, TomlValue],
    path: tuple[str, ...],
) -> None:
    """Write out the defaults of fields that the role does not see, but the shared section has.

    They belong to a type that a higher layer changed; KVBM merges the two sections without looking
    at types.
    """
    own, below, told = (find_value(each, path) for each in (section, shared, seen))
    if not isinstance(own, dict) or not isinstance(below, dict) or not isinstance(told, dict):
        return
    kind = told.get("type")
    if kind not in UNIONS[path]:
        return
    for key in table(path, str(kind)).keys:
        if key.name in below and key.name not in own and key.name not in told:
            own[key.name] = _as_json(key.default)


def _as_json(value: object) -> TomlValue:
    return list(value) if isinstance(value, tuple) else value  # type: ignore[return-value]


def _portable(data: Mapping[str, TomlValue]) -> dict[str, TomlValue]:
    """Return a deep copy without what JSON cannot say; of unknown keys only, others are checked."""
    return {key: _portable_value(value) for key, value in data.items() if not _is_foreign(value)}


def _portable_value(value: TomlValue) -> TomlValue:
    if isinstance(value, dict):
        return _portable(value)
    if isinstance(value, list):
        return [_portable_value(item) for item in value if not _is_foreign(item)]
    return value


def _is_foreign(value: TomlValue) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return not isinstance(value, str | int | list | dict | None)
