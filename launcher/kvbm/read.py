"""From merged settings to a `KvbmConfig`. Whatever is wrong becomes a problem; reading goes on."""

from __future__ import annotations

from launcher.config.problems import type_name
from launcher.config.reader import Refusal
from launcher.kvbm.checks import word
from launcher.kvbm.layers import find_value
from launcher.kvbm.model import (
    CacheConfig,
    Discovery,
    DiskCache,
    EtcdDiscovery,
    FilesystemDiscovery,
    HostCache,
    KvbmConfig,
    NixlBackend,
    NixlClient,
    NixlConfig,
    NovaBackend,
    NovaConfig,
    ObjectConfig,
    OffloadConfig,
    OffloadTier,
    OnboardConfig,
    P2pDiscovery,
    PresenceLfu,
    RayonConfig,
    S3Client,
    TokioConfig,
)
from launcher.kvbm.tables import TABLES, UNIONS, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import TomlValue
    from launcher.config.reader import Key
    from launcher.kvbm.findings import Findings

REQUIRED = "required"
TIERS = (("offload", "g1_to_g2"), ("offload", "g2_to_g3"))
# Sample files for humans carry remarks as keys of this form.
REMARK = "___"


def read_config(findings: Findings) -> KvbmConfig:
    """Read the settings of the findings' stack; problems are noted in `findings`.

    Where a value is refused the result holds the default in its place.
    """
    _note_unknown(findings, ())
    return KvbmConfig(
        tokio=TokioConfig(**_values(findings, ("tokio",))),  # type: ignore[arg-type]
        rayon=RayonConfig(**_values(findings, ("rayon",))),  # type: ignore[arg-type]
        nova=_read_nova(findings),
        cache=_read_cache(findings),
        offload=_read_offload(findings),
        onboard=OnboardConfig(**_values(findings, ("onboard",))),  # type: ignore[arg-type]
        object=_read_object(findings),
        nixl=_read_nixl(findings),
    )


def _read_nova(findings: Findings) -> NovaConfig:
    if _require_table(findings, ("nova",)):
        _note_unknown(findings, ("nova",))
    backend = _values(findings, ("nova", "backend"))
    return NovaConfig(
        backend=NovaBackend(**backend),  # type: ignore[arg-type]
        discovery=_read_discovery(findings),
    )


def _read_discovery(findings: Findings) -> Discovery | None:
    path = ("nova", "discovery")
    kind = _read_kind(findings, path)
    values = _values(findings, path, kind) if kind else {}
    if not kind or not _has_required(findings, path, kind, values):
        return None
    makers = {"etcd": EtcdDiscovery, "p2p": P2pDiscovery, "filesystem": FilesystemDiscovery}
    return makers[kind](**values)  # type: ignore[no-any-return]


def _read_cache(findings: Findings) -> CacheConfig:
    disk_path = ("cache", "disk")
    top = _values(findings, ("cache",))
    disk = _read_optional(findings, disk_path)
    return CacheConfig(
        host=HostCache(**_values(findings, ("cache", "host"))),  # type: ignore[arg-type]
        disk=DiskCache(**_values(findings, disk_path)) if disk else None,  # type: ignore[arg-type]
        **top,  # type: ignore[arg-type]
    )


def _read_offload(findings: Findings) -> OffloadConfig:
    if _require_table(findings, ("offload",)):
        _note_unknown(findings, ("offload",))
    first, second = (_read_tier(findings, path) for path in TIERS)
    return OffloadConfig(g1_to_g2=first, g2_to_g3=second)


def _read_tier(findings: Findings, path: tuple[str, ...]) -> OffloadTier:
    values = _values(findings, path)
    if not values["policies"]:
        values["policies"] = table(path).keys[0].default
    if _require_table(findings, (*path, "presence")):
        for name in _keys_at(findings, (*path, "presence")):
            findings.unknown((*path, "presence", name), ())
    lfu = PresenceLfu(**_values(findings, (*path, "presence_lfu")))  # type: ignore[arg-type]
    return OffloadTier(**values, presence_lfu=lfu)  # type: ignore[arg-type]


def _read_object(findings: Findings) -> ObjectConfig | None:
    if not _read_optional(findings, ("object",)):
        return None
    _note_unknown(findings, ("object",))
    path = ("object", "client")
    if find_value(findings.stack.data, path) is None:
        message = "'object' needs a table 'client'"
        findings.error(("object",), message, 'write [object.client] with type = "s3"')
        return None
    kind = _read_kind(findings, path)
    values = _values(findings, path, kind) if kind else {}
    if not kind or not _has_required(findings, path, kind, values):
        return None
    makers = {"s3": S3Client, "nixl": NixlClient}
    return ObjectConfig(client=makers[kind](**values))


def _read_nixl(findings: Findings) -> NixlConfig | None:
    data = findings.stack.data
    if "nixl" not in data:
        return NixlConfig()
    if not _read_optional(findings, ("nixl",)):
        return None
    backends = _values(findings, ("nixl",))["backends"]
    if not isinstance(backends, dict):
        return NixlConfig()
    return NixlConfig(
        backends=tuple(
            NixlBackend(name=name, parameters=tuple(sorted(parameters.items())))
            for name, parameters in sorted(backends.items())
        )
    )


def _read_kind(findings: Findings, path: tuple[str, str]) -> str:
    """Return the `type` of a union; empty where the union is absent or its type is wrong."""
    if not _read_optional(findings, path):
        return ""
    kinds = UNIONS[path]
    value = find_value(findings.stack.data, (*path, "type"))
    name = ".".join(path)
    if value is None:
        quoted = ", ".join(f"'{kind}'" for kind in kinds)
        findings.error(
            path, f"'{name}' needs 'type', one of {quoted}", f'write type = "{kinds[0]}"'
        )
        return ""
    try:
        return word(*kinds)(value)
    except Refusal as refusal:
        findings.error((*path, "type"), refusal.message, refusal.hint)
        return ""


def _has_required(
    findings: Findings, path: tuple[str, ...], kind: str, values: dict[str, object]
) -> bool:
    complete = True
    for key in table(path, kind).keys:
        if key.default_words == REQUIRED and values[key.name] is None:
            complete = False
            if key.name not in _keys_at(findings, path):
                message = f"'{'.'.join(path)}' of type '{kind}' needs '{key.name}'"
                findings.error(path, message, f"set {key.name}")
    return complete


def _values(findings: Findings, path: tuple[str, ...], kind: str = "") -> dict[str, object]:
    """Return the value of every key of a table: the checked one, else the default."""
    keys = table(path, kind).keys
    values = {key.name: key.default for key in keys}
    if not _require_table(findings, path):
        return values
    _note_unknown(findings, path, kind)
    held = _keys_at(findings, path)
    for key in keys:
        if key.name in held:
            values[key.name] = _checked(findings, (*path, key.name), key, held[key.name])
    return values


def _checked(findings: Findings, path: tuple[str, ...], key: Key, value: TomlValue) -> object:
    try:
        return key.check(value)
    except Refusal as refusal:
        findings.error((*path, *refusal.at), refusal.message, refusal.hint)
        return key.default


def _keys_at(findings: Findings, path: tuple[str, ...]) -> dict[str, TomlValue]:
    value = find_value(findings.stack.data, path)
    return value if isinstance(value, dict) else {}


def _read_optional(findings: Findings, path: tuple[str, ...]) -> bool:
    """Tell whether a table that may be null or absent is there."""
    value = find_value(findings.stack.data, path)
    return value is not None and _require_table(findings, path)


def _require_table(findings: Findings, path: tuple[str, ...]) -> bool:
    """Tell whether a table is there. What is there and is none, is a problem."""
    outer = _keys_at(findings, path[:-1])
    if path[-1] not in outer:
        return False
    value = outer[path[-1]]
    if isinstance(value, dict):
        return True
    name = ".".join(path)
    message = f"expected a table, got {type_name(value)}"
    hint = "remove the key" if value is None else f"write [{name}]"
    findings.error(path, message, hint)
    return False


def _note_unknown(findings: Findings, path: tuple[str, ...], kind: str = "") -> None:
    held = _keys_at(findings, path)
    known = _known_names(path, kind)
    for name in held:
        if name in known or (name.startswith(REMARK) and name.endswith(REMARK)):
            continue
        others = [other for other in UNIONS.get(path, ()) if name in _known_names(path, other)]
        if others:
            message = f"'{name}' means nothing where 'type' is '{kind}'"
            findings.warning((*path, name), message, f"it belongs to type '{others[0]}'")
        else:
            findings.unknown((*path, name), known)


def _known_names(path: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Return the keys that a table may hold, those of its subtables included."""
    names: dict[str, None] = {}
    for row in TABLES:
        if row.path == path and row.kind == kind:
            names.update({key.name: None for key in row.keys})
        elif len(row.path) > len(path) and row.path[: len(path)] == path:
            names[row.path[len(path)]] = None
    if path in UNIONS:
        names["type"] = None
    if path in TIERS:
        names["presence"] = None
    return tuple(names)
