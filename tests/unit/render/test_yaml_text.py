"""YAML with comments reads back as what it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from launcher.render.yaml_text import Flow, Note, render_scalar, render_yaml

if TYPE_CHECKING:
    from launcher.render.yaml_text import Node

TRAPS = [
    "yes", "No", "on", "null", "~", "", "1", "1.0", "1e3", "0x1f", "12:30", "8000:8000", "- a",
    "a: b", "a #b", "#a", "&a", "*a", "!a", "%a", "@a", "`a`", "{a}", "[a]", "a,b", "'", '"',
    " a", "a ", "é", "tab\there", "it's", "=", "<<", "a:", ".inf", ".nan", "2026-11-21", "30s",
    "2Gi", "vllmd:latest", "./vllm.toml", "cache:/cache", "true", "0o17", "007", "$$x", "a\\b",
    "it's 😀 \\ud83d\\ude00", "it's \u2028\x1b", "\ufeffx",
]  # fmt: skip


@pytest.mark.parametrize("text", TRAPS)
def test_string_reads_back_as_itself(text: str) -> None:
    assert yaml.safe_load(f"key: {render_scalar(text)}") == {"key": text}


@pytest.mark.parametrize("value", [True, False, None, 0, -1, 1.5])
def test_scalar_reads_back_as_itself(value: float | None) -> None:
    assert yaml.safe_load(f"key: {render_scalar(value)}") == {"key": value}


def test_nested_tables_and_lists_read_back() -> None:
    document: dict[str, Any] = {
        "a": {"b": [{"c": 1, "d": {"e": "x"}}, "f", {"g": []}], "h": {}},
        "i": Flow(items=("x", 2)),
        "text": "first\n\n  second: #\n",
        "open": "first\nsecond",
    }
    assert yaml.safe_load(render_yaml([document])) == {**document, "i": ["x", 2]}


@pytest.mark.parametrize(
    "text",
    [
        "  first\nsecond\n", "\nfirst\n", "a  \n  b\n", "a\n\n\n", "a\n\nb", "\n", "\n\n", " \n",
        "a # \u2028b\n", "a\r\nb\r\n", "\ufeffa\nb\n", "\ta\nb\n", "a\n\x1b\n", "😀\n'\"\n",
        "#\n---\n",
    ],
)  # fmt: skip
def test_text_of_a_file_reads_back_byte_by_byte(text: str) -> None:
    assert yaml.safe_load(render_yaml([{"data": {"file": text}}])) == {"data": {"file": text}}


def test_comment_stands_above_what_it_is_about() -> None:
    items: list[Node] = [Note(comment="of b", value={"b": Note(comment="inside", value=1)})]
    text = render_yaml([{"a": Note(comment="of a\nin two lines", value=items)}], "heading")
    assert text == ("# heading\n# of a\n# in two lines\na:\n  # of b\n    # inside\n  - b: 1\n")
    assert yaml.safe_load(text) == {"a": [{"b": 1}]}


def test_documents_are_a_stream() -> None:
    assert list(yaml.safe_load_all(render_yaml([{"a": 1}, {"b": 2}]))) == [{"a": 1}, {"b": 2}]
