"""Bad input: the whole message that a user sees."""

# ruff: noqa: E501  (a line of a message is one string)

from __future__ import annotations

import pytest

from launcher.config.document import parse_toml
from launcher.config.problems import Origin
from launcher.errors import ConfigError
from tests.support.messages import messages

ARGUMENTS = {
    "an assignment without a path": (
        "port",
        (
            "error: --set port: this is not PATH=VALUE\n"
            "hint: write it like --set instance.demo.server.port=8001"
        ),
    ),
    "an assignment with a colon hides what follows": (
        "HF_TOKEN:hf_abc",
        (
            "error: --set HF_TOKEN...: this is not PATH=VALUE\n"
            "hint: write it like --set instance.demo.server.port=8001"
        ),
    ),
    "an assignment to a comment": (
        "#=1",
        (
            "error: --set ...: this is not PATH=VALUE\n"
            "hint: write it like --set instance.demo.server.port=8001"
        ),
    ),
    "an assignment to a header": (
        "[a]=1",
        (
            "error: --set ...: this is not PATH=VALUE\n"
            "hint: write it like --set instance.demo.server.port=8001"
        ),
    ),
}

FILES = {
    "bytes are not utf-8": (
        b"a = 1\n# \xc3\xa9\xff",
        (
            "error: vllm.toml:2:4: this is not UTF-8: byte 0xff\n"
            "   2 | # é�\n"
            "     |    ^\n"
            "hint: save the file as UTF-8"
        ),
    ),
    "bytes are not utf-8 behind a byte order mark": (
        b"\xef\xbb\xbfa = '\xff'",
        (
            "error: vllm.toml:1:6: this is not UTF-8: byte 0xff\n"
            "   1 | a = '�'\n"
            "     |      ^\n"
            "hint: save the file as UTF-8"
        ),
    ),
    "a boolean in python's spelling": (
        "[master]\nenable = True",
        (
            "error: vllm.toml:2:10: this is not a TOML value\n"
            "   2 | enable = True\n"
            "     |          ^\n"
            'hint: put text in quotes, like "text"; write true or false'
        ),
    ),
    "a key twice": (
        "[master]\nenable = true\nenable = false",
        (
            "error: vllm.toml:3:15: this key or table is already set above\n"
            "   3 | enable = false\n"
            "     |               ^\n"
            "hint: keep one of the two"
        ),
    ),
    "a table twice": (
        "[instance.demo.server]\n[instance.demo.server]",
        (
            "error: vllm.toml:2:22: [instance.demo.server] is already declared above\n"
            "   2 | [instance.demo.server]\n"
            "     |                      ^\n"
            "hint: put its keys into one table"
        ),
    ),
    "a header is not closed": (
        "[master\nenable = true",
        (
            "error: vllm.toml:1:8: this is not TOML: expected ']' at the end of a table declaration\n"
            "   1 | [master\n"
            "     |        ^\n"
            "hint: mend the line, then run 'vllmd check' again"
        ),
    ),
    "a string is not closed": (
        '[master]\npython = "x',
        (
            "error: vllm.toml:2:12: this is not TOML: unterminated string\n"
            '   2 | python = "x\n'
            "     |            ^\n"
            "hint: mend the line, then run 'vllmd check' again"
        ),
    ),
    "an integer is larger than 64 bits": (
        "[instance.demo.control]\nlog_keep = 99999999999999999999\n",
        (
            "error: vllm.toml:2:12: this integer does not fit into 64 bits\n"
            "   2 | log_keep = 99999999999999999999\n"
            "     |            ^^^^^^^^^^^^^^^^^^^^\n"
            "hint: write a smaller number"
        ),
    ),
}


@pytest.mark.parametrize(("text", "message"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_text_bad_argument_says_whole_message(text: str, message: str) -> None:
    assert messages(assignments=(text,)) == message


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES)
def test_text_bad_says_whole_message(text: str | bytes, message: str) -> None:
    assert messages(text) == message


def test_words_behind_a_value_are_told_with_how_to_write_several() -> None:
    origin = Origin(kind="file", name="vllm.toml")
    with pytest.raises(ConfigError) as caught:
        parse_toml("gpu_ids = 0,1", origin)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (1, 12)
    assert problem.message == "the value ends here, and something follows it"
    assert problem.hint == "put several values in brackets, like [0, 1], and text in quotes"
