"""Random harm of all kinds for some seconds; `python -m benchmarks soak` does it for minutes."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.soak.report import render_outcome
from benchmarks.soak.session import soak
from tests.support.require import require

if TYPE_CHECKING:
    from pathlib import Path

MINUTES = 1 / 3
SEED = 4


@pytest.mark.timeout(240)  # a server held by SIGSTOP is found out 20 s after the last injection
def test_soak_with_everything_at_random_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = shutil.which("vllmd", path=sys.prefix + "/bin")
    require("integration", "vllmd is not installed in this environment", present=bool(program))
    outcome = soak(tmp_path, minutes=MINUTES, instances=10, seed=SEED)
    with capsys.disabled():
        print(f"\n{render_outcome(outcome)}")
    assert outcome.complaints == []
    assert outcome.injected.total() > 10
    assert outcome.lines > outcome.lives > 10
