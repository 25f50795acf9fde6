"""A configuration as text: JSON or TOML that loads to the same values, and where each came from.

Secrets in URLs are masked in all of it.
"""

from __future__ import annotations

import json

from launcher.config.layers import DEFAULT
from launcher.config.problems import dotted
from launcher.config.secrets import mask_urls
from launcher.kvbm.model import (
    EtcdDiscovery,
    FilesystemDiscovery,
    KvbmConfig,
    NixlClient,
    NixlConfig,
    P2pDiscovery,
    S3Client,
    effective_blocking_threads,
    effective_rayon_threads,
    effective_worker_threads,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.config.problems import Path, TomlValue
    from launcher.config.report import Locator
    from launcher.kvbm.layers import Source, Stack

_KINDS = {
    EtcdDiscovery: "etcd",
    P2pDiscovery: "p2p",
    FilesystemDiscovery: "filesystem",
    S3Client: "s3",
    NixlClient: "nixl",
}
BACKENDS = ("nixl", "backends")
OPTIONAL_TABLES = {("nova", "discovery"), ("cache", "disk"), ("object",), ("nixl",)}
NULL_IS_NOT_DEFAULT = {("tokio", "worker_threads")}


def as_data(config: KvbmConfig) -> dict[str, TomlValue]:
    """Return a configuration as JSON data: unions tagged, all defaults in it, None as null."""
    return _record_data(config)


def _record_data(value: object) -> dict[str, TomlValue]:
    if isinstance(value, NixlConfig):
        return {"backends": {each.name: dict(each.parameters) for each in value.backends}}
    names: tuple[str, ...] = type(value).__match_args__  # type: ignore[attr-defined]
    data: dict[str, TomlValue] = {}
    if type(value) in _KINDS:
        data["type"] = _KINDS[type(value)]
    data.update((name, _value_data(getattr(value, name))) for name in names)
    return data


def _value_data(value: object) -> TomlValue:
    if isinstance(value, tuple):
        return list(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return _record_data(value)


def masked(value: TomlValue) -> TomlValue:
    """Return a copy of JSON data in which URLs show no secrets."""
    if isinstance(value, str):
        return mask_urls(value)
    if isinstance(value, dict):
        return {key: masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    return value


def find_leaves(data: Mapping[str, TomlValue], path: Path = ()) -> list[Path]:
    """Return the path of every value that is not a table, and of every empty table."""
    leaves: list[Path] = []
    for key, value in data.items():
        if isinstance(value, dict) and value:
            leaves += find_leaves(value, (*path, key))
        else:
            leaves.append((*path, key))
    return leaves


def find_origins(data: Mapping[str, TomlValue], stack: Stack, locator: Locator) -> dict[Path, str]:
    """Say of every value where it was written: a place in a file, a variable, or a JSON path."""
    return {path: render_source(stack.source(path), locator) for path in find_leaves(data)}


def render_source(source: Source, locator: Locator) -> str:
    """Say where a value was written."""
    if source.origin == DEFAULT:
        return DEFAULT.name
    if source.origin.kind == "override":
        return f"{source.origin.name}: {dotted(source.path)}"
    return locator.where(source.origin, source.path)


def effective_values(config: KvbmConfig, cpu_count: int) -> dict[Path, TomlValue]:
    """Return what KVBM uses where a number of threads is null."""
    return {
        ("tokio", "worker_threads"): effective_worker_threads(config, cpu_count),
        ("tokio", "max_blocking_threads"): effective_blocking_threads(config),
        ("rayon", "num_threads"): effective_rayon_threads(config, cpu_count),
    }


def render_json(data: Mapping[str, TomlValue]) -> str:
    """Render data as JSON for people: indented, and masked."""
    return json.dumps(masked(dict(data)), indent=2)


def render_flag_value(value: Mapping[str, TomlValue]) -> str:
    """Render data as JSON for a command line: compact, because some launchers split at spaces."""
    return json.dumps(value, separators=(",", ":"))


class TomlWriter:
    """Writes settings as TOML. `note` gives the remark behind a value, or nothing.

    TOML has no null, so a null value is written as a remark, or, where KVBM would take its absence
    for something else, as what it amounts to (`effective`).
    """

    def __init__(
        self,
        note: Callable[[Path], str] = lambda _path: "",
        effective: Mapping[Path, TomlValue] | None = None,
    ) -> None:
        self.note = note
        self.effective = effective or {}
        self.lines: list[str] = []

    def write(self, data: Mapping[str, TomlValue], prefix: Path = ()) -> str:
        """Return the text of a table; `prefix` stands before the headers, like `leader`."""
        self._table(data, (), prefix)
        return "\n".join(self.lines).strip("\n") + "\n"

    def _table(self, data: Mapping[str, TomlValue], path: Path, prefix: Path) -> None:
        inline = path == BACKENDS
        plain = {
            key: value
            for key, value in data.items()
            if inline or not (isinstance(value, dict) or (*path, key) in OPTIONAL_TABLES)
        }
        if path and (plain or not data):
            self.lines += ["", f"[{dotted((*prefix, *path))}]"]
        for key, value in plain.items():
            self._value((*path, key), value)
        for key, value in data.items():
            if key in plain:
                continue
            if isinstance(value, dict):
                self._table(value, (*path, key), prefix)
            else:
                self._off((*path, key), prefix)

    def _value(self, path: Path, value: TomlValue) -> None:
        key, note = dotted(path[-1:]), self.note(path)
        used = self.effective.get(path)
        if value is not None:
            text, remarks = f"{key} = {toml_value(masked(value))}", [note]
        elif path in NULL_IS_NOT_DEFAULT:
            text, remarks = f"{key} = {toml_value(used)}", ["one per CPU", note]
        else:
            unset = f"not set: {toml_value(used)}" if used is not None else "not set"
            text, remarks = f"# {key} is {unset}", [note]
        shown = "; ".join(remark for remark in remarks if remark)
        self.lines.append(f"{text}  # {shown}" if shown else text)

    def _off(self, path: Path, prefix: Path) -> None:
        note = self.note(path)
        remark = f"  # {note}" if note else ""
        header = dotted((*prefix, *path))
        if path == ("nixl",):
            self.lines += ["", f"[{header}]", f"backends = {{}}{remark}"]
        else:
            self.lines += ["", f"# [{header}] is off{remark}"]


def toml_value(value: TomlValue) -> str:
    """Write one value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, dict):
        pairs = (f"{dotted((key,))} = {toml_value(inner)}" for key, inner in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    return repr(value)
