"""One spelling for server options: `max-model-len` and `max_model_len` are the same option.

Folded in each document before merging, so that an override in one spelling reaches a setting in
the other, and so that the same option twice in one table is an error instead of a flag twice.
"""

from __future__ import annotations

from launcher.config.problems import Problem
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.document import Document
    from launcher.config.problems import Path, TomlValue


def fold_documents(
    documents: tuple[Document, ...],
) -> tuple[tuple[Document, ...], list[Problem]]:
    """Return the documents with `_` in the names of all server options, and what stood twice."""
    problems: list[Problem] = []
    return tuple(_folded(document, problems) for document in documents), problems


def option_name(key: str) -> str:
    """Return the TOML form of an option's name."""
    return key.replace("-", "_")


def _folded(document: Document, problems: list[Problem]) -> Document:
    instances = document.data.get("instance")
    if not isinstance(instances, dict) or not _any_hyphen(instances):
        return document
    folded: dict[str, TomlValue] = {}
    for name, value in instances.items():
        path: Path = ("instance", name)
        if name == "server" and isinstance(value, dict):
            folded[name] = _fold_table(value, path, document, problems)
        elif (
            name != "control" and isinstance(value, dict) and isinstance(value.get("server"), dict)
        ):
            server = value["server"]
            assert isinstance(server, dict)  # noqa: S101  (for the type checker)
            inner = _fold_table(server, (*path, "server"), document, problems)
            folded[name] = {**value, "server": inner}
        else:
            folded[name] = value
    return replace(document, data={**document.data, "instance": folded})


def _any_hyphen(instances: Mapping[str, TomlValue]) -> bool:
    """Tell whether there is anything to fold; mostly there is not."""
    for name, value in instances.items():
        table = (
            value if name == "server" else value.get("server") if isinstance(value, dict) else None
        )
        if isinstance(table, dict) and any("-" in key for key in table):
            return True
    return False


def _fold_table(
    table: Mapping[str, TomlValue], path: Path, document: Document, problems: list[Problem]
) -> dict[str, TomlValue]:
    folded: dict[str, TomlValue] = {}
    spelled: dict[str, str] = {}
    for key, value in table.items():
        name = option_name(key)
        if name in folded:
            problems.append(
                Problem(
                    message=f"'{key}' is set twice: '{spelled[name]}' is the same option",
                    hint="keep one of the two",
                    origin=document.origin,
                    path=(*path, key),
                    at_key=True,
                )
            )
        folded[name] = value
        spelled.setdefault(name, key)
    return folded
