from __future__ import annotations

import pytest

from launcher.config.document import decode_toml, parse_assignment, parse_toml
from launcher.config.problems import Origin
from launcher.errors import ConfigError

FILE = Origin(kind="file", name="vllm.toml")

ASSIGNMENTS = {
    "a.b=1": {"a": {"b": 1}},
    "a = true ": {"a": True},
    "a=text": {"a": "text"},
    "a=True": {"a": "True"},
    "a=": {"a": ""},
    "a=x=y": {"a": "x=y"},
    'a="1"': {"a": "1"},
    "a=[1, 2]": {"a": [1, 2]},
    "a={b = 1}": {"a": {"b": 1}},
    "a=1\nb = 2": {"a": "1\nb = 2"},
    "a=1\n[b]": {"a": "1\n[b]"},
    'instance."qwen2.5".server.port=1': {"instance": {"qwen2.5": {"server": {"port": 1}}}},
    '"a=b".c=1': {"a=b": {"c": 1}},
}


@pytest.mark.parametrize(("argument", "data"), ASSIGNMENTS.items())
def test_parse_assignment_gives_nested_tables(argument: str, data: object) -> None:
    assert parse_assignment(argument).data == data


@pytest.mark.parametrize("argument", ["", "=", "=1", "a", "a b=1", "#=1", "[a]\nb=1", "a=1\n#=1"])
def test_parse_assignment_without_key_is_refused_or_one_value(argument: str) -> None:
    if argument == "a=1\n#=1":
        assert parse_assignment(argument).data == {"a": 1}  # a comment behind the value
        return
    with pytest.raises(ConfigError) as caught:
        parse_assignment(argument)
    assert caught.value.problems[0].message == "this is not PATH=VALUE"


def test_parse_assignment_name_does_not_hold_the_value() -> None:
    assert parse_assignment("server.api_key=sk-4f1d").origin.name == "--set server.api_key"


def test_parse_toml_syntax_error_has_line_and_column() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_toml("a = 1\nb = \n", FILE)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.origin) == (2, 5, FILE)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "1" * 5000,
        "a = 0x" + "f" * 5000,
        "a = 9223372036854775808",
        "a = " + "[" * 70 + "]" * 70,
        "a = " + "[" * 2000 + "]" * 2000,
        ".".join("a" * 900) + " = 1",
        ".".join("a" * 3000) + " = 1",
    ],
    ids=["decimal", "hexadecimal", "65 bits", "arrays", "more arrays", "keys", "more keys"],
)
def test_parse_toml_too_much_is_a_problem_not_a_crash(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_toml(text, FILE)


def test_parse_toml_largest_integers_are_kept() -> None:
    text = "a = 9223372036854775807\nb = -9223372036854775808"
    assert parse_toml(text, FILE).data == {"a": 2**63 - 1, "b": -(2**63)}


def test_decode_toml_byte_order_mark_is_dropped() -> None:
    assert decode_toml(b"\xef\xbb\xbfa = 1", FILE).data == {"a": 1}
