"""What is said of a version, and of an environment."""

from __future__ import annotations

import os

import pytest

from launcher.pixi.checks import check_unicode, check_version
from launcher.pixi.manifest import Manifest

HIJACKED = Manifest(tasks=frozenset({"python"}))


@pytest.mark.parametrize(
    ("version", "launch", "manifest", "found"),
    [
        ((0, 77, 0), "run", HIJACKED, []),
        ((0, 60, 0), "run", Manifest(), []),
        ((0, 60, 0), "run", HIJACKED, ["error"]),
        ((0, 60, 0), "hook", HIJACKED, []),
        ((0, 52, 0), "run", Manifest(), ["warning"]),
        ((0, 50, 0), "run", HIJACKED, ["warning", "warning", "error"]),
        ((0, 50, 0), "hook", HIJACKED, ["warning"]),
    ],
)
def test_version_is_measured_by_what_is_asked_of_it(
    version: tuple[int, int, int], launch: str, manifest: Manifest, found: list[str]
) -> None:
    problems = check_version(version, launch, manifest)
    assert [problem.severity for problem in problems] == found


@pytest.mark.parametrize(
    ("environ", "count"),
    [
        ({"A": "caf\u00e9 \u4e2d"}, 0),
        ({"A": os.fsdecode(b"\xff")}, 1),
        ({os.fsdecode(b"\xe9"): "1", "B": os.fsdecode(b"\x80")}, 2),
    ],
)
def test_variables_that_are_not_utf8_are_named(environ: dict[str, str], count: int) -> None:
    problems = list(check_unicode(environ))
    assert len(problems) == count
    assert all(problem.message.isascii() for problem in problems)
