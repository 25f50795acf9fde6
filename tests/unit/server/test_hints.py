"""Every value that a key refuses: what to do is said too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.config.reader import Refusal
from launcher.server.cluster import CLUSTER_KEYS
from launcher.server.keys import CLIENT_KEYS, CONTROL_KEYS, MASTER_KEYS

if TYPE_CHECKING:
    from launcher.config.problems import TomlValue
    from launcher.config.reader import Key

KEYS = [*MASTER_KEYS, *CONTROL_KEYS, *CLIENT_KEYS, *CLUSTER_KEYS]
NAN, INFINITE = float("nan"), float("inf")
NUMBERS: list[TomlValue] = [None, True, -1, 0, 2**62, -0.5, 1.5, NAN, INFINITE]
TEXTS: list[TomlValue] = ["", " ", "no such word", "5m", "-1", "\0"]
TABLES: list[TomlValue] = [[], [None], [1, "x"], {}, {"a": 1}]


def hint_of(key: Key, value: TomlValue) -> str | None:
    """Return the hint of a refusal; None for a value that is taken."""
    try:
        key.check(value)
    except Refusal as refusal:
        return refusal.hint
    return None


@pytest.mark.parametrize("key", KEYS, ids=[key.name for key in KEYS])
def test_value_that_is_refused_comes_with_a_hint(key: Key) -> None:
    hints = {repr(value): hint_of(key, value) for value in (*NUMBERS, *TEXTS, *TABLES)}
    assert "" not in hints.values(), [value for value, hint in hints.items() if hint == ""]
    assert any(hints.values())
