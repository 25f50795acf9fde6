"""What is read from an action of a parser."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from tools.catalogue.kinds import describe_action, first_paragraph


def describe(*flags: str, **keywords: Any) -> dict[str, Any]:
    action = argparse.ArgumentParser().add_argument(*flags, **keywords)
    return describe_action(action, list(action.option_strings), "", deprecated=False)


def test_boolean_option_has_its_negative() -> None:
    facts = describe("--x", action=argparse.BooleanOptionalAction, default=True)
    expected = {"kind": "flag", "flags": ["--x"], "negatives": ["--no-x"], "default": True}
    assert facts == expected


def test_plain_option_says_its_type_and_default() -> None:
    assert describe("--x", "-x", type=int, default=3) == {
        "kind": "integer",
        "flags": ["--x", "-x"],
        "default": 3,
    }


def test_several_values_are_noted() -> None:
    assert describe("--x", nargs="+")["nargs"] == "+"


def test_json_list_is_told_by_its_default() -> None:
    assert describe("--x", type=json.loads, default=["*"])["json"] == "array"


def test_lambda_is_asked_what_it_makes() -> None:
    assert describe("--x", type=lambda text: text.split(","))["kind"] == "csv"


def test_default_without_json_form_is_left_out() -> None:
    assert "default" not in describe("--x", default=object())


def test_new_converter_is_an_error() -> None:
    with pytest.raises(TypeError, match="teach NAMED_KINDS"):
        describe("--x", type=complex)


@pytest.mark.parametrize(
    ("dest", "secret"),
    [("api-key", True), ("hf-token", True), ("ssl-keyfile", False), ("max-num-tokens", False)],
)
def test_secret_is_told_by_the_last_word(dest: str, secret: bool) -> None:
    assert bool(describe(f"--{dest}").get("secret")) is secret


@pytest.mark.parametrize(
    ("text", "deprecated"),
    [
        ("[DEPRECATED] gone soon", True),
        ("--x is deprecated and will go", True),
        ("Whether to allow deprecated methods", False),
    ],
)
def test_deprecated_is_told_by_the_help(text: str, deprecated: bool) -> None:
    assert bool(describe("--x", help=text).get("deprecated")) is deprecated


def test_first_paragraph_is_one_line() -> None:
    assert first_paragraph("One\n  two 5%%.\n\nThree.") == "One two 5%."
