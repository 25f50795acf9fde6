"""Try again until a deadline."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

PAUSE_S = 0.01
TRY_S = 5.0  # a single attempt: a listener may have taken us in and then died


def retry_until(
    attempt: Callable[[float], T],
    error: type[Exception],
    deadline_s: float,
    wanted: Callable[[], bool],
) -> T:
    """Return what `attempt` returns; each try is given its own limit, in seconds.

    Raises:
        error: what the last attempt raised; the deadline, in seconds from now, has passed, or
            the result is not wanted any more.
    """
    until = time.monotonic() + deadline_s
    while True:
        left_s = until - time.monotonic()
        try:
            return attempt(max(PAUSE_S, min(TRY_S, left_s)))
        except error:
            if time.monotonic() + PAUSE_S >= until or not wanted():
                raise
        time.sleep(PAUSE_S)


def stays(problem: Callable[[], object], deadline_s: float) -> bool:
    """Tell whether a problem is still there at the deadline, in seconds from now."""
    until = time.monotonic() + deadline_s
    while problem():
        if time.monotonic() > until:
            return True
        time.sleep(PAUSE_S)
    return False
