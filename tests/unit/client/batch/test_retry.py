from __future__ import annotations

import pytest

from launcher.client.batch.retry import Verdict, backoff_s, judge, parse_retry_after


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.SETTLED),
        (400, Verdict.SETTLED),
        (404, Verdict.SETTLED),
        (401, Verdict.STOP),
        (403, Verdict.STOP),
        (429, Verdict.LATER),
        (503, Verdict.LATER),
        (408, Verdict.AGAIN),
        (500, Verdict.AGAIN),
        (502, Verdict.AGAIN),
        (504, Verdict.AGAIN),
    ],
)
def test_status_says_what_to_do(status: int, verdict: Verdict) -> None:
    assert judge(status) is verdict


def test_backoff_doubles_and_ends_at_half_a_minute() -> None:
    assert [backoff_s(failures, 1) for failures in (1, 2, 3, 4)] == [0.5, 1, 2, 4]
    assert backoff_s(1, 0) == 0.25
    assert backoff_s(1000, 1) == 30


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("1.5", 1.5),
        ("7", 7),
        ("86400", 300),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("nan", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert parse_retry_after(text, now=60) == seconds
