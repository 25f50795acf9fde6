"""JSON Schema of the host's file, for editors. Pure."""

from __future__ import annotations

from launcher.hypervisor.host.keys import (
    GLOBAL,
    GLOBAL_KEYS,
    GUEST,
    GUEST_KEYS,
    NETWORK,
    NETWORK_KEYS,
    RUNTIME_KEYS,
    RUNTIMES,
)
from launcher.hypervisor.host.values import (
    LONGEST_INTERFACE,
    LONGEST_NAME,
    MOST_CPUS,
    MOST_GB,
    MOST_INDEX,
)
from launcher.hypervisor.variables import HOST_VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from launcher.config.problems import TomlValue
    from launcher.config.reader import Key

    Schema: TypeAlias = dict[str, TomlValue]

DRAFT = "http://json-schema.org/draft-07/schema#"
STRING: Schema = {"type": "string", "minLength": 1}
STRINGS: Schema = {"type": "array", "items": {"type": "string", "minLength": 1}}
PATH: Schema = {"type": "string", "pattern": "^[/~$]"}
MEMORY_GB: Schema = {"type": "integer", "minimum": 1, "maximum": MOST_GB}
CPUS: Schema = {"type": "integer", "minimum": 1, "maximum": MOST_CPUS}
INTERFACE: Schema = {
    "type": "string",
    "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.@-]*$",
    "maxLength": LONGEST_INTERFACE,
}
ADDRESS = "^[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[01][0-9a-fA-F]\\.[0-7]$"
# How an editor checks a key. The reader's own check is the one that counts.
KEY_SCHEMAS: dict[str, Schema] = {
    "user": STRING,
    "state_dir": PATH,
    "config_dir": PATH,
    "default_memory_gb": MEMORY_GB,
    "default_cpus": CPUS,
    "index": {"type": "integer", "minimum": 1, "maximum": MOST_INDEX},
    "name": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": LONGEST_NAME},
    "gpus": {
        "type": "array",
        "items": {"type": "string", "pattern": ADDRESS},
        "uniqueItems": True,
    },
    "memory_gb": MEMORY_GB,
    "cpus": CPUS,
    "default_interface": INTERFACE,
    "bridge_name": INTERFACE,
    "subnet": {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+){3}/[0-9]{2}$"},
    "join": {"type": "boolean"},
    "kernel": PATH,
    "image": PATH,
    "initramfs": PATH,
    "cmdline": STRING,
    "memory": STRING,
    "devices": STRINGS,
    "net": STRING,
    "publish": STRINGS,
    "config": PATH,
}


def render_host_schema() -> Schema:
    """Render the schema of the host's file."""
    guest = _table("", GUEST_KEYS)
    runtime = _table("", RUNTIME_KEYS)
    runtime["properties"] = {**_properties("", RUNTIME_KEYS), GUEST: guest}
    runtime["required"] = ["index", "name"]
    shared = tuple(key for key in GUEST_KEYS if key.name != "config")
    tables: Schema = {
        GLOBAL: _table(GLOBAL, GLOBAL_KEYS),
        RUNTIMES: {"type": "array", "items": runtime},
        NETWORK: _table(NETWORK, NETWORK_KEYS),
        GUEST: _table("", shared),
    }
    return {
        "$schema": DRAFT,
        "title": "vllmd-hypervisor: configuration of a host",
        "type": "object",
        "properties": tables,
        "additionalProperties": False,
    }


def _table(name: str, keys: tuple[Key, ...]) -> Schema:
    return {"type": "object", "properties": _properties(name, keys), "additionalProperties": False}


def _properties(table: str, keys: tuple[Key, ...]) -> Schema:
    over = {variable.key: variable.name for variable in HOST_VARIABLES if variable.key}
    found: Schema = {}
    for key in keys:
        variable = over.get(f"{table}.{key.name}")
        doc = f"{key.doc}. {variable} wins over it." if variable else f"{key.doc}."
        found[key.name] = {**KEY_SCHEMAS[key.name], "description": doc}
    return found
