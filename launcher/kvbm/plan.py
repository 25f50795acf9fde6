"""`[kvbm]` and `[instance.<name>.kvbm]` of the launcher's file, turned into one server option.

The tables hold KVBM's own settings (in the manual's structure, with or without the sections
`default`, `leader` and `worker`) and, beside them, a few keys that are about vLLM: `LAUNCHER_KEYS`.
They are the highest layer, above KVBM's files and variables; an instance's table is above the
common one.
"""

from __future__ import annotations

import json

from launcher.config.layers import overlay
from launcher.config.problems import WARNING, Origin, Problem, errors_of, type_name
from launcher.config.reader import Key, Problems, Refusal, boolean
from launcher.kvbm.layers import SECTIONS, find_value, remove, split
from launcher.kvbm.resolve import Resolution, collect_layers, resolve
from launcher.kvbm.tables import TABLES
from launcher.kvbm.transfer import TRANSFER_KEYS, render_multi, render_sections, render_transfer
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.document import Document
    from launcher.config.layers import Tree
    from launcher.config.problems import Path, TomlValue
    from launcher.kvbm.layers import Layer
    from launcher.kvbm.resolve import KvbmFacts

OPTION = "kv_transfer_config"
SWITCHES = (
    Key(
        name="enable",
        check=boolean,
        expected="boolean",
        default=False,
        doc="Whether servers use KVBM. Needed once: for all instances or for one.",
    ),
    Key(
        name="multi_connector",
        check=boolean,
        expected="boolean",
        default=False,
        doc="Where an instance sets `kv_transfer_config` itself: use both connectors, KVBM first, "
        "as children of vLLM's MultiConnector.",
    ),
)
LAUNCHER_KEYS = (*SWITCHES, *TRANSFER_KEYS)
LAUNCHER_NAMES = tuple(key.name for key in LAUNCHER_KEYS)


@record
class OwnTransfer:
    """What an instance sets itself: the value of `kv_transfer_config` and its place in the tree.

    The value is a table, or text if it stands in a string or in `extra_args`.
    """

    path: Path
    value: TomlValue


@record
class TransferPlan:
    """What becomes of an instance's KVBM tables.

    `value` is that of `--kv-transfer-config`, None where KVBM is not used or cannot be;
    `resolution` says what each role is told and why, None where KVBM is not used.
    """

    value: dict[str, TomlValue] | None
    problems: tuple[Problem, ...]
    resolution: Resolution | None = None


def plan_transfer(
    tree: Tree, name: str, facts: KvbmFacts, own: OwnTransfer | None = None
) -> TransferPlan:
    """Plan the `--kv-transfer-config` of one instance.

    Args:
        tree: the launcher's settings, with the documents that they were merged from.
        name: the instance.
        facts: what `loading.gather_facts` says, given the environment of the instance.
        own: the `kv_transfer_config` that the instance sets itself, if any.
    """
    problems = Problems(tree)
    settings = _read_launcher_keys(tree, name, problems)
    if not settings["enable"]:
        _note_unused(tree, name, problems)
        return TransferPlan(value=None, problems=tuple(problems.found))
    layers = collect_layers(facts)
    for prefix in (("kvbm",), ("instance", name, "kvbm")):
        own_layers, own_problems = _layers_at(tree.documents, prefix)
        layers = layers.with_layers(own_layers, own_problems)
    resolution = resolve(layers, facts.cpu_count)
    value = render_transfer(settings, render_sections(layers))
    if own is not None:
        value = _with_own(value, own, problems, multi=bool(settings["multi_connector"]))
    found = (*problems.found, *resolution.problems)
    return TransferPlan(
        value=None if errors_of(found) else value, problems=found, resolution=resolution
    )


def _table(tree: Tree, path: Path) -> Mapping[str, TomlValue]:
    value = find_value(tree.data, path)
    return value if isinstance(value, dict) else {}


def _read_launcher_keys(tree: Tree, name: str, problems: Problems) -> dict[str, object]:
    common, special = ("kvbm",), ("instance", name, "kvbm")
    for path in (common, special):
        value = find_value(tree.data, path)
        if value is not None and not isinstance(value, dict):
            message = f"'kvbm': expected a table, got {type_name(value)}"
            problems.add(path, message, f"write [{'.'.join(path)}] with enable = true")
        _note_misspelled(_table(tree, path), path, problems)
    held = overlay(_table(tree, common), _table(tree, special))
    values = {key.name: key.default for key in LAUNCHER_KEYS}
    for key in LAUNCHER_KEYS:
        if key.name not in held:
            continue
        path = special if key.name in _table(tree, special) else common
        try:
            values[key.name] = key.check(held[key.name])
        except Refusal as refusal:
            problems.add((*path, key.name), refusal.message, refusal.hint)
    return values


def _note_misspelled(table: Mapping[str, TomlValue], path: Path, problems: Problems) -> None:
    """Note keys that are nearly one of ours: a misspelled switch must not go by as a warning."""
    known = {row.path[0] for row in TABLES} | set(SECTIONS) | set(LAUNCHER_NAMES)
    unknown = [name for name in table if name not in known]
    if not unknown:
        return
    # Imported only for a user who made a mistake: difflib is not for free.
    from launcher.config.suggest import find_nearest  # noqa: PLC0415

    for name in unknown:
        if find_nearest(name, known) in LAUNCHER_NAMES:
            problems.unknown((*path, name), LAUNCHER_NAMES)


def _note_unused(tree: Tree, name: str, problems: Problems) -> None:
    for path in (("instance", name, "kvbm"), ("kvbm",)):
        table = _table(tree, path)
        if "enable" in table:
            return
        if table:
            message = "KVBM is configured here, and not enabled"
            hint = f"add enable = true to [{'.'.join(path)}]"
            problems.add(path, message, hint, severity=WARNING, at_key=True)
            return


def _layers_at(
    documents: tuple[Document, ...], prefix: tuple[str, ...]
) -> tuple[tuple[Layer, ...], tuple[Problem, ...]]:
    held = [(document.origin, find_value(document.data, prefix)) for document in documents]
    tables = [(origin, _settings(value)) for origin, value in held if isinstance(value, dict)]
    layers: list[Layer] = []
    problems: list[Problem] = []
    for origin, data in _without_nulls(tables):
        taken, wrong = split(data, origin, prefix)
        layers += taken
        problems += wrong
    return tuple(layers), tuple(problems)


def _settings(table: dict[str, TomlValue]) -> Mapping[str, TomlValue]:
    """Return KVBM's own settings of a table."""
    return {key: value for key, value in table.items() if key not in LAUNCHER_NAMES}


def _without_nulls(
    tables: list[tuple[Origin, Mapping[str, TomlValue]]],
) -> list[tuple[Origin, Mapping[str, TomlValue]]]:
    """Let null remove a key from the documents below, as everywhere in the launcher's file."""
    kept: list[tuple[Origin, Mapping[str, TomlValue]]] = []
    for origin, data in tables:
        for path in _null_paths(data):
            kept = [(lower, remove(below, path)) for lower, below in kept]
            data = remove(data, path)  # noqa: PLW2901  (one null after the other)
        kept.append((origin, data))
    return kept


def _null_paths(data: Mapping[str, TomlValue]) -> list[Path]:
    paths: list[Path] = []
    for key, value in data.items():
        if value is None:
            paths.append((key,))
        elif isinstance(value, dict):
            paths += [(key, *path) for path in _null_paths(value)]
    return paths


def _with_own(
    kvbm: dict[str, TomlValue], own: OwnTransfer, problems: Problems, *, multi: bool
) -> dict[str, TomlValue]:
    if not multi:
        message = f"'{OPTION}' is set here, and [kvbm] sets it too"
        hint = "remove one, or write multi_connector = true in [kvbm] to use both"
        problems.add(own.path, message, hint, at_key=True)
        return kvbm
    value = own.value
    if isinstance(value, str):
        value = _parse_text(value)
    if not isinstance(value, dict):
        message = f"'{OPTION}': expected a table, got {type_name(own.value)}"
        problems.add(own.path, message, 'write it like { kv_connector = "NixlConnector" }')
        return kvbm
    for name in ("kv_connector", "kv_role"):
        if name not in value:
            problems.add(
                own.path, f"'{OPTION}' needs '{name}'", f"set {name} of the other connector"
            )
    return render_multi(kvbm, value)


def _parse_text(text: str) -> TomlValue:
    try:
        value: TomlValue = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value
