"""The sample files and the reference tables, written from the model.

A test holds the committed files to what these functions return.
"""

from __future__ import annotations

import json

from launcher.kvbm.environment import EXTRA_VARIABLES, MANUAL_VARIABLES, OTHER_VARIABLES
from launcher.kvbm.fields import POLICY_DOCS
from launcher.kvbm.model import KvbmConfig, NixlConfig
from launcher.kvbm.plan import SWITCHES
from launcher.kvbm.read import REQUIRED
from launcher.kvbm.render import as_data, toml_value
from launcher.kvbm.tables import TABLES
from launcher.kvbm.transfer import CLIENT, TRANSFER_KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.config.problems import TomlValue
    from launcher.config.reader import Key
    from launcher.kvbm.tables import Table

WIDTH = 88
# What the samples show where there is no default to show.
EXAMPLES: dict[str, TomlValue] = {
    "max_blocking_threads": 512,
    "num_threads": 8,
    "tcp_addr": "192.168.1.10",
    "tcp_interface": "eth0",
    "cluster_id": "my-cluster",
    "bootstrap_peers": ["192.168.1.10:5000"],
    "path": "/mnt/shared/kvbm/cluster.json",
    "cache_size_gb": 4.0,
    "num_blocks": 1000,
    "storage_path": "/mnt/nvme/kvbm",
    "endpoint_url": "http://minio:9000",
    "backend": "s3",
}

HEAD = """\
# KVBM configuration: every option, with its default.
#
# KVBM reads /opt/dynamo/etc/kvbm.toml, then the file named by KVBM_CONFIG_PATH, then the KVBM_*
# variables, then JSON (vLLM's kv_connector_extra_config); what comes later wins.
# A '#' right before a setting marks an option that is not set by default: remove it to set it.
# Each table may stand in a section for one role as well: [leader.tokio], [worker.tokio].
#
# This file is generated from the model: python tools/docs.py
"""


def render_toml_sample() -> str:
    """Return `model-configs/kvbm.example.toml`."""
    return HEAD + "".join(_toml_table(row) for row in TABLES)


def _toml_table(row: Table) -> str:
    is_off = bool(row.kind) or row.path == ("cache", "disk")
    mark = "#" if is_off else ""
    lines = ["", *_comment(f"{row.title}. {row.doc}")]
    if row.path == ("offload", "g1_to_g2"):
        for name, doc in POLICY_DOCS.items():
            lines += _comment(f"  {name}: {doc}")
    if row.path == CLIENT:
        lines += [f"{mark}[{'.'.join(row.path)}]", f'{mark}type = "{row.kind}"']
    else:
        lines.append(f"{mark}[{row.header()}]")
    for key in row.keys:
        lines += _toml_key(row, key, mark)
    return "\n".join(lines) + "\n"


def _toml_key(row: Table, key: Key, mark: str) -> Iterator[str]:
    yield from _comment(key.doc)
    default = key.default_words or toml_value(_plain(key.default))
    variable = _variable(row, key)
    remark = f"Takes: {key.expected}; default: {default}"
    yield from _comment(remark + (f"; variable: {variable}" if variable else ""))
    if row.path == ("nixl",):
        for backend in NixlConfig().backends:
            yield f"backends.{backend.name} = {{}}"
        yield '#backends.GDS = { threads = "4" }'
        return
    unset = key.default is None
    shown = EXAMPLES[key.name] if unset else _plain(key.default)
    yield f"{mark or ('#' if unset else '')}{key.name} = {toml_value(shown)}"


def _comment(text: str) -> Iterator[str]:
    indent = len(text) - len(text.lstrip())
    line = ""
    for word in text.split():
        if len(line) + len(word) > WIDTH and line:
            yield f"# {' ' * indent}{line}"
            line = ""
        line = f"{line} {word}".strip()
    yield f"# {' ' * indent}{line}"


def render_json_sample() -> str:
    """Return `model-configs/kvbm.example.json`: the defaults, as a flat object."""
    return json.dumps(as_data(KvbmConfig()), indent=2) + "\n"


def render_full_json_sample() -> str:
    """Return `model-configs/kvbm.full.example.json`: the three sections, every option once.

    JSON has no comments; KVBM ignores keys in three underscores.
    """
    shared = {
        "___about___": "default holds for both roles; leader and worker are merged over it",
        "tokio": _example(("tokio",)),
        "rayon": _example(("rayon",)),
        "nova": {"backend": _alternative(_example(("nova", "backend")), "tcp_interface")},
    }
    leader = {
        "___about___": "coordination: sizes of the tiers, discovery, the object store",
        "nova": {"discovery": {"type": "etcd", **_example(("nova", "discovery"), "etcd")}},
        "cache": {
            **_example(("cache",)),
            "host": _alternative(_example(("cache", "host")), "num_blocks"),
            "disk": {
                **_alternative(_example(("cache", "disk")), "num_blocks"),
                "cache_size_gb": 32.0,
            },
        },
        "offload": {
            tier: {
                **_example(("offload", tier)),
                "presence_lfu": _example(("offload", tier, "presence_lfu")),
            }
            for tier in ("g1_to_g2", "g2_to_g3")
        },
        "onboard": _example(("onboard",)),
        "object": {
            "client": {
                "type": "s3",
                **_example(("object", "client"), "s3"),
                "force_path_style": True,
            }
        },
    }
    worker = {
        "___about___": "data transfer: the NIXL backends and their parameters, all strings",
        "nixl": {"backends": {"POSIX": {}, "UCX": {}, "GDS": {"threads": "4"}}},
        "___other_discovery___": {
            kind: {"type": kind, **_example(("nova", "discovery"), kind)}
            for kind in ("p2p", "filesystem")
        },
        "___other_client___": {"type": "nixl", **_example(("object", "client"), "nixl")},
    }
    return json.dumps({"default": shared, "leader": leader, "worker": worker}, indent=2) + "\n"


def _example(path: tuple[str, ...], kind: str = "") -> dict[str, TomlValue]:
    row = next(row for row in TABLES if row.path == path and row.kind == kind)
    return {
        key.name: EXAMPLES[key.name] if key.default is None else _plain(key.default)
        for key in row.keys
    }


def _alternative(data: dict[str, TomlValue], name: str) -> dict[str, TomlValue]:
    """Show a key that does not go with another one as a remark."""
    rest = {key: value for key, value in data.items() if key != name}
    return {**rest, "___or_instead___": {name: data[name]}}


def _plain(value: object) -> TomlValue:
    return list(value) if isinstance(value, tuple) else value  # type: ignore[return-value]


def _variable(row: Table, key: Key) -> str:
    path = (*row.path, key.name)
    names = [each.name for each in (*MANUAL_VARIABLES, *EXTRA_VARIABLES) if each.path == path]
    return names[0] if names else ""


# The tables of docs/kvbm.md.


def render_reference() -> str:
    """Return the reference tables as Markdown, one per table of the configuration."""
    return "\n".join(_markdown_table(row) for row in TABLES)


def _markdown_table(row: Table) -> str:
    lines = [f"### {row.title}: `[{row.header()}]`", "", row.doc, ""]
    lines += ["| Key | Takes | Default | Variable | Meaning |", "|---|---|---|---|---|"]
    for key in row.keys:
        variable = _variable(row, key)
        cells = (
            f"`{key.name}`",
            key.expected,
            _default_cell(key),
            f"`{variable}`" if variable else "",
            key.doc,
        )
        lines.append(f"| {' | '.join(cells)} |")
    if row.path == ("offload", "g1_to_g2"):
        lines += ["", "| Policy | Meaning |", "|---|---|"]
        lines += [f"| `{name}` | {doc} |" for name, doc in POLICY_DOCS.items()]
    return "\n".join(lines) + "\n"


def _default_cell(key: Key) -> str:
    if key.default_words:
        return f"**{REQUIRED}**" if key.default_words == REQUIRED else key.default_words
    return f"`{toml_value(_plain(key.default))}`"


def render_launcher_keys() -> str:
    """Return the table of the keys of `[kvbm]` that are about vLLM."""
    lines = ["| Key | Takes | Default | Meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{key.name}` | {key.expected} | {_default_cell(key)} | {key.doc} |"
        for key in (*SWITCHES, *TRANSFER_KEYS)
    ]
    return "\n".join(lines) + "\n"


def render_variables() -> str:
    """Return the table of variables."""
    lines = ["| Variable | Sets |", "|---|---|"]
    lines += [f"| `{each.name}` | `{'.'.join(each.path)}` |" for each in MANUAL_VARIABLES]
    for each in EXTRA_VARIABLES:
        other = f"; {each.instead_of} wins" if each.instead_of else ""
        lines.append(f"| `{each.name}` | `{'.'.join(each.path)}`{other} |")
    lines += [f"| `{name}` | {doc} |" for name, doc in OTHER_VARIABLES.items()]
    return "\n".join(lines) + "\n"


SAMPLES = {
    "model-configs/kvbm.example.toml": render_toml_sample,
    "model-configs/kvbm.example.json": render_json_sample,
    "model-configs/kvbm.full.example.json": render_full_json_sample,
}
# The generated blocks of docs/kvbm.md.
BLOCKS = {
    "kvbm tables": render_reference,
    "kvbm launcher keys": render_launcher_keys,
    "kvbm variables": render_variables,
}
