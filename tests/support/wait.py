"""Wait for a condition instead of sleeping."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
PAUSE_S = 0.01
# Only a broken test waits that long; a loaded machine may well need most of it.
PATIENCE_S = 60.0


def wait_until(condition: Callable[[], T], what: str, within_s: float = PATIENCE_S) -> T:
    """Return the first true value of `condition`.

    Raises:
        AssertionError: it has not come true in time; `what` says what was waited for.
    """
    until = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(PAUSE_S)
