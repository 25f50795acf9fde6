"""Linters and the type checker are tests, so "run the tests" is the whole check."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.require import require_module

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.mark.timeout(300)  # a first run has no cache yet
@pytest.mark.parametrize(
    "command",
    ["ruff check .", "ruff format --check .", "mypy"],
)
def test_linter_on_whole_project_has_no_complaint(command: str) -> None:
    words = command.split()
    require_module("law", words[0])
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
