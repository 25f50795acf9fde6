"""What is generated from the model says what the model says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN_LINE = re.compile(r"^docker run --rm .*?[^\\]$", re.MULTILINE | re.DOTALL)


def test_generated_documentation_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "tools/docs.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_container_is_started_alike_wherever_it_is_shown() -> None:
    """Overrides may come in between."""
    pages = [(ROOT / page).read_text() for page in ("README.md", "dockers/infer-dev/README.md")]
    [first], [second] = (RUN_LINE.findall(page) for page in pages)
    assert set(shlex.split(second)) <= set(shlex.split(first))
