"""What an answer means for its request, and when to try again. Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from enum import Enum

FIRST_S = 0.5
LONGEST_S = 30.0
LONGEST_HOLD_S = 300.0  # a server that says "in a day" is asked sooner


class Verdict(Enum):
    """What to do with a request after an answer with some status."""

    SETTLED = "settled"  # this is its answer, good or bad
    LATER = "later"  # the server has not taken it: wait as it says, as long as we may
    AGAIN = "again"  # the server took it and failed: try again, a few times
    STOP = "stop"  # no request will do better


_VERDICTS = {
    401: Verdict.STOP,
    403: Verdict.STOP,
    408: Verdict.AGAIN,
    425: Verdict.AGAIN,
    429: Verdict.LATER,
    503: Verdict.LATER,
}


def judge(status: int) -> Verdict:
    """Return what a status means."""
    server_failed = 500  # and above: not the fault of the request
    usual = Verdict.AGAIN if status >= server_failed else Verdict.SETTLED
    return _VERDICTS.get(status, usual)


def backoff_s(failures: int, chance: float) -> float:
    """Return the pause after so many failures: doubled each time, and less by chance.

    `chance` is a random number from 0 to 1: many clients shall not come back at once.
    """
    return min(LONGEST_S, FIRST_S * 2.0 ** (failures - 1)) * (0.5 + chance / 2)


def parse_retry_after(text: str, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for; None where it says nothing.

    `now` is the time of day, in seconds since 1970: the header may hold a date.
    """
    text = text.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return min(float(text), LONGEST_HOLD_S)
    try:
        then = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(then - now, 0.0), LONGEST_HOLD_S)
