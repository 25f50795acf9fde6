"""Bad input: the whole message that a user sees."""

# ruff: noqa: E501  (a line of a message is one string)

from __future__ import annotations

import pytest

from tests.support.messages import messages

ARGUMENTS = {
    "unknown key in an argument": (
        "instance.demo.control.enabld=true",
        (
            "error: --set instance.demo.control.enabld: unknown key 'enabld'\n"
            "hint: did you mean 'enabled'?"
        ),
    ),
    "wrong type in an argument": (
        "instance.demo.control.enabled=yes",
        (
            "error: --set instance.demo.control.enabled: expected a boolean, got a string\n"
            "hint: write true without quotes"
        ),
    ),
    "wrong type inside an argument's value": (
        "instance={demo=5}",
        (
            "error: --set instance: instance.demo: expected a table, the settings of one instance, got an integer\n"
            "hint: write demo in [instance.server] or [instance.NAME.server]"
        ),
    ),
}

OVERRIDES = {
    "not json": (
        "{port: 1}",
        (
            "error: AUTO_INFER_VLLM_OVERRIDES:1:2: this is not JSON: expecting property name enclosed in double quotes\n"
            'hint: write one object, like {"instance": {"demo": {"server": {"port": 8001}}}}'
        ),
    ),
    "an array": (
        "[1]",
        (
            "error: AUTO_INFER_VLLM_OVERRIDES: expected a JSON object, got an array\n"
            'hint: write one object, like {"instance": {"demo": {"server": {"port": 8001}}}}'
        ),
    ),
    "a string hides the string": (
        '"sk-4f1d"',
        (
            "error: AUTO_INFER_VLLM_OVERRIDES: expected a JSON object, got a string\n"
            'hint: write one object, like {"instance": {"demo": {"server": {"port": 8001}}}}'
        ),
    ),
    "a number": (
        "5",
        (
            "error: AUTO_INFER_VLLM_OVERRIDES: expected a JSON object, got a number\n"
            'hint: write one object, like {"instance": {"demo": {"server": {"port": 8001}}}}'
        ),
    ),
    "null": (
        "null",
        (
            "error: AUTO_INFER_VLLM_OVERRIDES: expected a JSON object, got null\n"
            'hint: write one object, like {"instance": {"demo": {"server": {"port": 8001}}}}'
        ),
    ),
    "a key twice": (
        '{"a": 1, "a": 2}',
        (
            "error: AUTO_INFER_VLLM_OVERRIDES: 'a' is given twice in one JSON object\n"
            "hint: keep one of the two"
        ),
    ),
    "not a number": (
        '{"a": NaN}',
        (
            "error: AUTO_INFER_VLLM_OVERRIDES: 'NaN' is not a JSON number\n"
            "hint: write a number that JSON has"
        ),
    ),
    "a lone surrogate": (
        '{"master": {"python": "\\ud800"}}',
        (
            "error: AUTO_INFER_VLLM_OVERRIDES: master.python: this is not valid Unicode text\n"
            "hint: remove the unpaired surrogate, like \\ud800"
        ),
    ),
    "a huge integer": (
        '{"a": ' + "1" * 5000 + "}",
        (
            "error: AUTO_INFER_VLLM_OVERRIDES: an integer in this does not fit into 64 bits\n"
            "hint: write a smaller number"
        ),
    ),
    "unknown key": (
        '{"instance":{"demo":{"control":{"enabld":true}}}}',
        (
            "error: AUTO_INFER_VLLM_OVERRIDES: instance.demo.control.enabld: unknown key 'enabld'\n"
            "hint: did you mean 'enabled'?"
        ),
    ),
    "wrong type": (
        '{"instance":{"demo":{"control":{"enabled":"yes"}}}}',
        (
            "error: AUTO_INFER_VLLM_OVERRIDES: instance.demo.control.enabled: expected a boolean, got a string\n"
            "hint: write true without quotes"
        ),
    ),
}


@pytest.mark.parametrize(("text", "message"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_override_bad_argument_says_whole_message(text: str, message: str) -> None:
    assert messages(assignments=(text,)) == message


@pytest.mark.parametrize(("text", "message"), OVERRIDES.values(), ids=OVERRIDES)
def test_override_bad_says_whole_message(text: str, message: str) -> None:
    assert messages(overrides=text) == message
