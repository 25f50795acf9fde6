"""JSON Schema of the whole TOML file, for editors. Pure."""

from __future__ import annotations

from launcher.config.timeout_profiles import PROFILES
from launcher.server.catalogue.schema import render_schema
from launcher.server.cluster import CLUSTER_KEYS
from launcher.server.keys import CLIENT_KEYS, CONTROL_KEYS, MASTER_KEYS, PREFETCHES, START_MODES
from launcher.server.model import TOP_LEVEL_TABLES
from launcher.server.presets import PRESETS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from launcher.config.problems import TomlValue
    from launcher.config.reader import Key
    from launcher.server.catalogue.lookup import Catalogue

    Schema: TypeAlias = dict[str, TomlValue]

DRAFT = "http://json-schema.org/draft-07/schema#"
BOOLEAN: Schema = {"type": "boolean"}
STRING: Schema = {"type": "string", "minLength": 1}
PATH: Schema = {"type": "string", "pattern": "^/"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
SECONDS: Schema = {"type": "number", "exclusiveMinimum": 0}
GPU_IDS: Schema = {
    "anyOf": [
        {"type": "string"},
        {"type": "integer", "minimum": 0},
        {"type": "array", "items": {"type": "integer", "minimum": 0}},
    ]
}
# How an editor checks a key. The reader's own check is the one that counts.
KEY_SCHEMAS: dict[str, Schema] = {
    "enable": BOOLEAN,
    "pixi_project_dir": PATH,
    "pixi_environment": STRING,
    "pixi_launch": {"enum": ["run", "hook"]},
    "api_server_module": STRING,
    "python": STRING,
    "start_mode": {"enum": [*START_MODES]},
    "warm_keep": BOOLEAN,
    "compile_first": BOOLEAN,
    "prefetch": {"enum": [*PREFETCHES]},
    "weight_cache": BOOLEAN,
    "unknown_flags": {"enum": ["error", "warn"]},
    "control_socket": {"type": "string", "pattern": "^/", "maxLength": 107},
    "listen": {"type": "string", "pattern": "^[^ ]+:[0-9]{1,5}$"},
    "enabled": BOOLEAN,
    "background": BOOLEAN,
    "log_dir": PATH,
    "log_file": PATH,
    "log_max_mb": {"type": "integer", "minimum": 0},
    "log_keep": {"type": "integer", "minimum": 0, "maximum": 100},
    "gpu_ids": GPU_IDS,
    "preset": {"enum": [*PRESETS]},
    "v1_multiprocessing": {"enum": ["auto", "on", "off"]},
    "restart": {"enum": ["no", "on-failure", "always"]},
    "max_restarts": {"type": "integer", "minimum": 1},
    "restart_window_s": SECONDS,
    "health_interval_s": SECONDS,
    "health_failures": {"type": "integer", "minimum": 1},
    "health_timeout_s": SECONDS,
    "probe": {"enum": ["health", "generate"]},
    "stall_timeout_s": SECONDS,
    "startup_timeout_s": SECONDS,
    "stop_timeout_s": SECONDS,
    "drain_s": {"type": "integer", "minimum": 0},
    "nodes": {"type": "integer", "minimum": 1},
    "engine": {"enum": ["native", "ray"]},
    "rank": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^env:"}]},
    "leader": STRING,
    "port": PORT,
    "link_port": PORT,
    "timeout_profile": {"enum": [*PROFILES]},
}
ENV: Schema = {
    "type": "object",
    "description": "Environment variables; a secret's value may be env:NAME or file:/path.",
    "additionalProperties": {"type": ["string", "number"]},
}
KVBM: Schema = {
    "type": "object",
    "description": "KVBM, vLLM's KV block manager connector; see docs/kvbm.md.",
}
GUEST: Schema = {
    "type": "object",
    "description": "The virtual machine that this file may run in; see docs/hypervisor-guests.md.",
}
EXTRA_ARGS: Schema = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Words that are appended to the command line as they are.",
}


def render_file_schema(catalogue: Catalogue, help_text: str, guest: Schema | None = None) -> Schema:
    """Render the schema of a file for one version of vLLM.

    `help_text` is what `catalogue.data.load_help` returns, `guest` the schema of `[guest]`.
    """
    server = render_schema(catalogue, help_text)
    server["properties"]["extra_args"] = EXTRA_ARGS
    control = _table(CONTROL_KEYS)
    parts: Schema = {
        "control": {"$ref": "#/definitions/control"},
        "server": {"$ref": "#/definitions/server"},
    }
    instance: Schema = {
        "type": "object",
        "properties": {**parts, "env": ENV, "kvbm": KVBM, "cluster": _table(CLUSTER_KEYS)},
        "additionalProperties": False,
    }
    master = _table(MASTER_KEYS)
    master["properties"] = {**_properties(MASTER_KEYS), "env": ENV}
    tables: Schema = {
        "master": master,
        "client": _table(CLIENT_KEYS),
        "instance": {
            "type": "object",
            "properties": parts,
            "additionalProperties": {"$ref": "#/definitions/instance"},
        },
    }
    tables["kvbm"] = KVBM
    tables["guest"] = GUEST if guest is None else {**GUEST, **guest}
    return {
        "$schema": DRAFT,
        "title": f"vllmd configuration, options of vLLM {catalogue.version}",
        "type": "object",
        "properties": {name: tables[name] for name in TOP_LEVEL_TABLES},
        "additionalProperties": False,
        "definitions": {"control": control, "server": server, "instance": instance},
    }


def _table(keys: tuple[Key, ...]) -> Schema:
    return {"type": "object", "properties": _properties(keys), "additionalProperties": False}


def _properties(keys: tuple[Key, ...]) -> Schema:
    return {key.name: {**KEY_SCHEMAS[key.name], "description": key.doc} for key in keys}
