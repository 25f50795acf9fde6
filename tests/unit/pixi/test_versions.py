"""What each version of pixi is given."""

from __future__ import annotations

import pytest

from launcher.pixi.versions import hook_words, parse_version, render_version, run_options


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("pixi 0.77.0\n", (0, 77, 0)),
        ("pixi 1.2.3-beta", (1, 2, 3)),
        ("pixi, version 1.0.1", None),
        ("Pixi 0.77.0", None),
        (" pixi 0.77.0", None),
        ("pixi 0.77", None),
        ("", None),
    ],
)
def test_version_is_read_from_pixis_own_answer_only(
    text: str, version: tuple[int, int, int] | None
) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("version", "options"),
    [
        ((0, 77, 0), ("--as-is", "--executable")),
        ((0, 64, 0), ("--as-is", "--executable")),
        ((0, 63, 9), ("--as-is",)),
        ((0, 53, 0), ("--as-is",)),
        ((0, 52, 9), ("--frozen", "--no-install")),
    ],
)
def test_run_options_are_those_that_the_version_has(
    version: tuple[int, int, int], options: tuple[str, ...]
) -> None:
    assert run_options(version) == options


def test_hook_names_project_and_environment() -> None:
    assert hook_words("/bin/pixi", (0, 77, 0), "/app", "cuda") == (
        "/bin/pixi", "shell-hook", "--json", "--as-is",
        "--manifest-path", "/app", "--environment", "cuda",
    )  # fmt: skip


def test_version_is_shown_as_it_is_written() -> None:
    assert render_version((0, 53, 1)) == "0.53.1"
