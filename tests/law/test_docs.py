"""What is generated from the model says what the model says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_generated_documentation_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "tools/docs.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_container_is_started_by_one_line_wherever_it_is_shown() -> None:
    pages = ("README.md", "dockers/infer-dev/README.md")
    lines = [re.findall(r"^docker run --rm .*?[^\\]$", (ROOT / page).read_text(), re.M | re.S)
             for page in pages]  # fmt: skip
    assert lines[0] == lines[1]
    assert len(lines[0]) == 1
