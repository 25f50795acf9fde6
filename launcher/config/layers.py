"""Layers of settings: documents merged in order, and which of them each value came from.

Tables merge key by key; every other value, lists too, is replaced; a JSON `null` removes the key
(RFC 7396). The merged tree does not record where its values came from: the winner of a path is
the last document that holds it, so it is found when somebody asks (for a message, for `plan`),
and a plain start pays nothing.
"""

from __future__ import annotations

from launcher.config.problems import Origin
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.config.document import Document
    from launcher.config.problems import Path, TomlValue

DEFAULT = Origin(kind="default", name="default")


@record
class Tree:
    """The merged settings of `documents` (lowest first)."""

    documents: tuple[Document, ...]
    data: Mapping[str, TomlValue]

    def origin(self, path: Path) -> Origin:
        """Return the origin of the value at `path`, `DEFAULT` where no document holds it."""
        for document in reversed(self.documents):
            if _holds(document.data, path):
                return document.origin
        return DEFAULT


def layer(documents: tuple[Document, ...]) -> Tree:
    """Merge documents, the last one strongest. The documents stay as they are."""
    if len(documents) == 1 and documents[0].origin.kind == "file":  # TOML has no null
        return Tree(documents=documents, data=documents[0].data)
    data: dict[str, TomlValue] = {}
    for document in documents:
        data = _merger()(data, document.data)
    return Tree(documents=documents, data=_without_nulls(data))


def overlay(
    base: Mapping[str, TomlValue], over: Mapping[str, TomlValue]
) -> Mapping[str, TomlValue]:
    """Merge two tables of one tree by the same rules: an instance's settings over the defaults."""
    if not base or not over:
        return over or base
    if any(isinstance(over[key], dict) and isinstance(base.get(key), dict) for key in over):
        return _merger()(base, over)
    return {**base, **over}


def _merger() -> Callable[[Mapping[str, TomlValue], Mapping[str, TomlValue]], dict[str, TomlValue]]:
    # Imported when two tables really meet: deepmerge imports `typing`, which takes half as long
    # as starting the interpreter, and most configurations have nothing to merge.
    from launcher.config.merger import merge_tables  # noqa: PLC0415

    return merge_tables


def _holds(data: TomlValue | Mapping[str, TomlValue], path: Path) -> bool:
    here: object = data
    for part in path:
        if isinstance(here, dict):
            if part not in here:
                return False
            here = here[part]
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            return False
    return True


def _without_nulls(table: dict[str, TomlValue]) -> dict[str, TomlValue]:
    return {
        key: _without_nulls(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }
