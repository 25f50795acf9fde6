"""What pixi printed, as data."""

from __future__ import annotations

import pytest

from launcher.pixi.answers import SHOWN, complaint, parse_hook, parse_marker


def test_hook_gives_the_variables() -> None:
    text = '{"environment_variables": {"A": "1", "EMPTY": ""}, "activation_scripts": ["/x"]}'
    assert parse_hook(text) == {"A": "1", "EMPTY": ""}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "export A=1",
        "[]",
        "{}",
        '{"environment_variables": []}',
        '{"environment_variables": {"A": 1}}',
        '{"environment_variables": {"A=B": "1"}}',
        '{"environment_variables": {"": "1"}}',
        '{"environment_variables": {"A": "\\u0000"}}',
    ],
)
def test_hook_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (json's own, or ours)
        parse_hook(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"manifest_path": "/app/pixi.toml"}', "/app/pixi.toml"),
        ('{"manifest_path": 1}', None),
        ("{}", None),
        ("[]", None),
        ("", None),
    ],
)
def test_marker_says_what_it_was_installed_for(text: str, path: str | None) -> None:
    assert parse_marker(text) == path


def test_complaint_is_one_line_without_the_frame() -> None:
    stderr = "Error:   \u00d7 cannot solve\n  \u2570\u2500\u25b6 no candidates\n\n"
    assert complaint(stderr) == "cannot solve; no candidates"
    assert len(complaint("x" * 1000)) == SHOWN
