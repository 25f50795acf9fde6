"""Progress is told in lines, not in every byte."""

from __future__ import annotations

import io

import pytest

from launcher.bundle.progress import Progress, render_size


def test_a_step_is_told_once_within_seconds() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin("unpacking")
    for done in range(1000):
        progress.bytes_done(done, 1000)
    assert stream.getvalue() == "vllmd: bundle: unpacking\n"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (3e9, "3.0 GB")],
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert render_size(size) == text
