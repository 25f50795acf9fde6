"""What docs/hypervisor-guests.md promises is held by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "hypervisor-guests.md"
TEST_PATH = re.compile(r"`(tests/[\w/.]+)`")


def promises() -> list[str]:
    """Return the rows of the table, without its head."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Promises\n")[2]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


def test_promises_name_tests_that_exist() -> None:
    named = {path for row in promises() for path in TEST_PATH.findall(row)}
    assert len(named) > 10
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_promise_without_a_test_says_why() -> None:
    """A row without a path has a reason of several words in its place."""
    cells = [row.strip("|").split("|")[1] for row in promises()]
    assert [cell for cell in cells if not TEST_PATH.search(cell) and len(cell.split()) < 6] == []
