"""Which release of the catalogue stands for an installed version."""

from __future__ import annotations

import pytest

from launcher.server.catalogue.versions import choose_version, parse_version

KNOWN = ("0.11.0", "0.11.2", "0.32.0", "0.33.0")


@pytest.mark.parametrize(
    ("asked", "version", "match"),
    [
        ("0.32.0", "0.32.0", "exact"),
        ("v0.32.0", "0.32.0", "exact"),
        ("0.32", "0.32.0", "exact"),
        ("0.32.0+cu129", "0.32.0", "exact"),
        ("0.32.0.post2", "0.32.0", "exact"),
        ("0.32.1.dev3+gabc", "0.32.0", "nearest"),
        ("0.32.7", "0.32.0", "nearest"),
        ("0.33.1", "0.33.0", "nearest"),
        ("0.33.0rc1", "0.32.0", "nearest"),
        ("0.12.0", "0.11.2", "nearest"),
        ("0.34.0", "0.33.0", "newer"),
        ("0.34.0.dev1", "0.33.0", "newer"),
        ("1.0", "0.33.0", "newer"),
        ("0.8.5", "0.11.0", "older"),
        ("", "0.33.0", "unknown"),
        ("dev", "0.33.0", "unknown"),
        ("7", "0.33.0", "unknown"),
    ],
)
def test_version_asked_for_gets_the_nearest_release(asked: str, version: str, match: str) -> None:
    choice = choose_version(asked, KNOWN)
    assert (choice.version, choice.match) == (version, match)


def test_development_versions_sort_before_their_release() -> None:
    assert parse_version("0.33.0.dev1") < parse_version("0.33.0")  # type: ignore[operator]
