"""The one merger of settings, made of `deepmerge`.

Our own configuration of it, on copies: its ready-made mergers append lists and change their
arguments (deepmerge 4.0, `deepmerge/strategy/list.py`, `deepmerge/strategy/dict.py`).
"""

from __future__ import annotations

from deepmerge import Merger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import TomlValue

_MERGER = Merger([(dict, ["merge"])], ["override"], ["override"])


def merge_tables(
    base: Mapping[str, TomlValue], over: Mapping[str, TomlValue]
) -> dict[str, TomlValue]:
    """Return `base` with `over` merged over it; neither is changed, and no table is shared."""
    merged: dict[str, TomlValue] = _MERGER.merge(_copied(base), _copied(over))
    return merged


def _copied(table: Mapping[str, TomlValue]) -> dict[str, TomlValue]:
    # Lists are replaced whole and never changed, so only the tables need a copy.
    return {
        key: _copied(value) if isinstance(value, dict) else value for key, value in table.items()
    }
