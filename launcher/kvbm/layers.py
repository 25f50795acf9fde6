"""Layers and profiles: which setting wins for a role, and where it was written.

Layers, lowest first: defaults, the system file, the file at `KVBM_CONFIG_PATH`, the `KVBM_*`
variables, JSON. Each may have the sections `default`, `leader` and `worker` beside settings that
stand outside any section. A role sees what stands outside, then `default`, then its own section:
the more special section wins, and within one the higher layer.

Tables merge key by key; every other value, lists too, is replaced. JSON's null is a value that
turns a thing off. Where a higher layer chooses another type of discovery or of object store, the
fields of the lower one are dropped.
"""

from __future__ import annotations

from launcher.config.layers import DEFAULT
from launcher.config.merger import merge_tables
from launcher.config.problems import Problem, type_name
from launcher.kvbm.spelling import normalise
from launcher.kvbm.tables import UNIONS
from launcher.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.config.problems import Origin, Path, TomlValue

LEADER = "leader"
WORKER = "worker"
SHARED = "default"
ROLES = (LEADER, WORKER)
SECTIONS = (SHARED, LEADER, WORKER)


@record
class Layer:
    """Settings of one section of one document, in one spelling.

    `section` is "" for what stands outside any. `prefix` is where in the document the settings
    begin, and `written` where a normalised path was written below it. `problems` are those of the
    spelling.
    """

    origin: Origin
    data: Mapping[str, TomlValue]
    section: str
    prefix: Path
    written: Mapping[Path, Path]
    problems: tuple[Problem, ...] = ()

    def place(self, path: Path) -> Path:
        """Return the path in the document at which `path` was written."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.written:
                return (*self.prefix, *self.written[path[:end]], *path[end:])
        return (*self.prefix, *path)


@record
class Source:
    """Where a value was written: a document and the path in it."""

    origin: Origin
    path: Path


@record
class Stack:
    """The layers that one role sees, lowest first, and what they merge to."""

    layers: tuple[Layer, ...]
    data: Mapping[str, TomlValue]

    def source(self, path: Path) -> Source:
        """Return where the value at `path` was written; `DEFAULT` where nowhere."""
        for layer in reversed(self.layers):
            held, blocked = _follow(layer.data, path)
            if held:
                return Source(origin=layer.origin, path=layer.place(path))
            if blocked:
                break
        return Source(origin=DEFAULT, path=path)

    def nearest(self, path: Path) -> Source:
        """Return where `path` or the nearest table around it was written."""
        for end in range(len(path), 0, -1):
            source = self.source(path[:end])
            if source.origin != DEFAULT:
                return source
        return Source(origin=DEFAULT, path=path)


def split(
    data: Mapping[str, TomlValue], origin: Origin, prefix: Path = ()
) -> tuple[tuple[Layer, ...], tuple[Problem, ...]]:
    """Take settings apart into their sections, each in one spelling."""
    problems: list[Problem] = []
    outside = {key: value for key, value in data.items() if key not in SECTIONS}
    layers = [_layer(outside, origin, "", prefix)]
    for section in SECTIONS:
        if section not in data:
            continue
        inner = data[section]
        if isinstance(inner, dict):
            layers.append(_layer(inner, origin, section, (*prefix, section)))
            continue
        message = f"'{section}': expected a table of settings, got {type_name(inner)}"
        problems.append(Problem(message=message, origin=origin, path=(*prefix, section)))
    return tuple(layer for layer in layers if layer.data), tuple(problems)


def _layer(data: Mapping[str, TomlValue], origin: Origin, section: str, prefix: Path) -> Layer:
    problems: list[Problem] = []

    def complain(path: Path, message: str, hint: str) -> None:
        place = (*prefix, *path)
        problems.append(Problem(message=message, hint=hint, origin=origin, path=place, at_key=True))

    spelled = normalise(data, complain)
    return Layer(
        origin=origin,
        data=spelled.data,
        section=section,
        prefix=prefix,
        written=spelled.written,
        problems=tuple(problems),
    )


def stack(layers: Iterable[Layer], role: str | None) -> Stack:
    """Stack the layers (lowest first) that a role sees; None for what both roles share."""
    sections = ("", SHARED) if role is None else ("", SHARED, role)
    given = tuple(layers)
    return merge(layer for section in sections for layer in given if layer.section == section)


def merge(layers: Iterable[Layer]) -> Stack:
    """Merge layers, the last one strongest, after dropping the fields of types not chosen."""
    chosen = tuple(layers)
    for path in UNIONS:
        chosen = _without_other_types(chosen, path)
    data: dict[str, TomlValue] = {}
    for layer in chosen:
        data = merge_tables(data, layer.data)
    return Stack(layers=chosen, data=data)


def _without_other_types(layers: tuple[Layer, ...], path: tuple[str, ...]) -> tuple[Layer, ...]:
    kept: list[Layer] = []
    current: TomlValue = None
    for layer in layers:
        kind = _kind(layer, path)
        if kind is not None and current not in (None, kind):
            # Variables have no type of their own: they add to whichever type is chosen.
            kept = [
                lower if _is_untyped_variable(lower, path) else _without(lower, path)
                for lower in kept
            ]
        current = kind if kind is not None else current
        kept.append(layer)
    return tuple(kept)


def _kind(layer: Layer, path: tuple[str, ...]) -> TomlValue:
    union = find_value(layer.data, path)
    return union.get("type") if isinstance(union, dict) else None


def _is_untyped_variable(layer: Layer, path: tuple[str, ...]) -> bool:
    return layer.origin.kind == "environment" and _kind(layer, path) is None


def _without(layer: Layer, path: tuple[str, ...]) -> Layer:
    return replace(layer, data=remove(layer.data, path))


def remove(data: Mapping[str, TomlValue], path: Path) -> Mapping[str, TomlValue]:
    """Return the tables without the value at `path`."""
    first, *rest = path
    inner = data.get(str(first))
    if not rest:
        return {key: value for key, value in data.items() if key != first}
    if not isinstance(inner, dict):
        return data
    return {**data, str(first): dict(remove(inner, tuple(rest)))}


def find_value(data: Mapping[str, TomlValue], path: Path) -> TomlValue:
    """Return the value at a path of keys; None where there is none, or null."""
    here: object = data
    for part in path:
        if not isinstance(here, dict):
            return None
        here = here.get(part)
    return here  # type: ignore[return-value]


def _follow(data: Mapping[str, TomlValue], path: Path) -> tuple[bool, bool]:
    """Tell whether tables hold `path`, and whether something else than a table is in its way."""
    here: object = data
    for part in path:
        if isinstance(here, dict):
            if part not in here:
                return False, False
            here = here[part]
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            return False, True
    return True, False
