from __future__ import annotations

import io

from launcher.cli.batch_progress import BatchShow, Rate
from launcher.client.batch.progress import Tally


def test_rate_is_that_of_the_last_minute() -> None:
    rate = Rate()
    for second in range(100):
        rate.note(second, 2 * second if second < 40 else 80 + 10 * (second - 40))
    assert rate.per_s(99, 670) == 10
    assert Rate().per_s(1, 1) == 0


def test_show_says_what_there_is_and_what_there_was() -> None:
    stream = io.StringIO()
    show = BatchShow(stream, 3600)
    show.begin(Tally(total=10, earlier=4))
    assert stream.getvalue() == (
        "vllmd: batch: 10 requests, 4 of them have a result; at most 1 h (--timeout)\n"
    )


def test_summary_counts_results_and_failures() -> None:
    show = BatchShow(io.StringIO(), None)
    show.begin(Tally(total=10, earlier=4, succeeded=2, failed=1))
    assert show.summary() == "7 of 10 have a result, 1 failed"
    assert show.speed() == "0/s"
