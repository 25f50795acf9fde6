"""`vllmd batch` is killed again and again, and loses or doubles nothing."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.api_stub import api_stub
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.api_stub import Batch

KILLS = 20
REQUESTS = 1500
CONCURRENCY = 16


@pytest.mark.timeout(900)
def test_batch_killed_20_times_has_each_result_once(tmp_path: Path, batch: Batch) -> None:
    moments = random.Random(20)  # noqa: S311  (the same moments each time)
    batch.write(f"prompt {number}" for number in range(REQUESTS))
    with api_stub(tmp_path, delay=0.02) as stub:
        for number in range(KILLS):
            before = whole_lines(batch)
            run = batch.start(stub.url, "--concurrency", str(CONCURRENCY))
            kill_somewhere(run, batch, moments)
            assert whole_lines(batch)[: len(before)] == before
            if number % 3 == 0:
                tear_last_line(batch, moments)  # what a power failure would do
        done = batch.run(stub.url, "--concurrency", str(CONCURRENCY))
        asked = Counter(stub.answered())
    assert done.returncode == 0, done.stderr
    batch.assert_each_once(REQUESTS)
    # Only what was under way when we were killed, or was torn, is asked for again.
    assert len(asked) == REQUESTS
    assert asked.total() - REQUESTS <= KILLS * (CONCURRENCY + 1)


def kill_somewhere(run: subprocess.Popen[str], batch: Batch, moments: random.Random) -> None:
    """Kill it while it starts, or as soon as it has written some results more."""
    if moments.random() < 0.2:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(moments.random())
    else:
        wanted = batch.size() + moments.randrange(1, 15_000)
        wait_until(lambda: batch.size() >= wanted or run.poll() is not None, "results come")
    run.kill()
    run.communicate(timeout=PATIENCE_S)


def tear_last_line(batch: Batch, moments: random.Random) -> None:
    lines = batch.results.read_bytes().splitlines(keepends=True) if batch.size() else []
    if lines:
        os.truncate(batch.results, batch.size() - moments.randrange(1, len(lines[-1])))


def whole_lines(batch: Batch) -> list[bytes]:
    lines = batch.results.read_bytes().splitlines(keepends=True) if batch.size() else []
    return [line for line in lines if line.endswith(b"\n")]
