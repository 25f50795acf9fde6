"""Joining what versions said into ranges."""

from __future__ import annotations

import pytest

from tools.catalogue.ranges import join_ranges

VERSIONS = ("1", "2", "3", "4")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"1": "a", "2": "a", "3": "a", "4": "a"}, [("1", "", "a")]),
        ({"1": "a", "2": "a"}, [("1", "2", "a")]),
        ({"3": "a"}, [("3", "3", "a")]),
        ({"4": "a"}, [("4", "", "a")]),
        ({"1": "a", "3": "a", "4": "b"}, [("1", "1", "a"), ("3", "3", "a"), ("4", "", "b")]),
        ({"1": 0, "2": 0.0, "3": False}, [("1", "1", 0), ("2", "2", 0.0), ("3", "3", False)]),
        ({}, []),
    ],
)
def test_equal_neighbours_are_joined(
    facts: dict[str, object], expected: list[tuple[str, str, object]]
) -> None:
    assert join_ranges(VERSIONS, facts) == expected
