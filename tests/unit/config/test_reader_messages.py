"""Bad input: the whole message that a user sees."""

from __future__ import annotations

import pytest

from tests.support.messages import messages

FILES = {
    "a string for a boolean": (
        '[instance.demo.control]\nenabled = "yes"\n',
        (
            "error: vllm.toml:2:11: expected a boolean, got a string\n"
            '   2 | enabled = "yes"\n'
            "     |           ^^^^^\n"
            "hint: write true without quotes"
        ),
    ),
    "an integer for a boolean": (
        "[instance.demo.control]\nenabled = 1\n",
        (
            "error: vllm.toml:2:11: expected a boolean, got an integer\n"
            "   2 | enabled = 1\n"
            "     |           ^\n"
            "hint: write true"
        ),
    ),
    "an array for a boolean": (
        "[instance.demo.control]\nenabled = []\n",
        (
            "error: vllm.toml:2:11: expected a boolean, got an array\n"
            "   2 | enabled = []\n"
            "     |           ^^\n"
            "hint: write true or false"
        ),
    ),
    "a boolean for an integer": (
        "[instance.demo.control]\nlog_keep = true\n",
        (
            "error: vllm.toml:2:12: expected an integer, 0 to 100, got a boolean\n"
            "   2 | log_keep = true\n"
            "     |            ^^^^\n"
            "hint: write a number, like 1"
        ),
    ),
    "a string for an integer": (
        '[instance.demo.control]\nlog_keep = "3"\n',
        (
            "error: vllm.toml:2:12: expected an integer, 0 to 100, got a string\n"
            '   2 | log_keep = "3"\n'
            "     |            ^^^\n"
            "hint: remove the quotes"
        ),
    ),
    "a float for an integer beside a secret comment": (
        "[instance.demo.control]\nlog_keep = 1.0 # HF_TOKEN=hf_x\n",
        (
            "error: vllm.toml:2:12: expected an integer, 0 to 100, got a float\n"
            "   2 | log_keep = 1.0 #***\n"
            "     |            ^^^\n"
            "hint: write a number, like 1"
        ),
    ),
    "an integer out of range": (
        "[instance.demo.control]\nlog_keep = 101\n",
        (
            "error: vllm.toml:2:12: expected an integer, 0 to 100, got 101\n"
            "   2 | log_keep = 101\n"
            "     |            ^^^\n"
            "hint: write 100 or less"
        ),
    ),
    "a negative integer": (
        "[instance.demo.control]\nlog_max_mb = -1\n",
        (
            "error: vllm.toml:2:14: expected an integer of at least 0, got -1\n"
            "   2 | log_max_mb = -1\n"
            "     |              ^^\n"
            "hint: write 0 or more"
        ),
    ),
    "a date for an integer": (
        "[instance.demo.control]\nlog_max_mb = 2026-01-01\n",
        (
            "error: vllm.toml:2:14: expected an integer of at least 0, got a date or time\n"
            "   2 | log_max_mb = 2026-01-01\n"
            "     |              ^^^^^^^^^^\n"
            "hint: write a number, like 1"
        ),
    ),
    "a relative path": (
        '[instance.demo.control]\nlog_dir = "logs"\n',
        (
            "error: vllm.toml:2:11: expected an absolute path, got 'logs'\n"
            '   2 | log_dir = "logs"\n'
            "     |           ^^^^^^\n"
            "hint: begin it with '/'"
        ),
    ),
    "an empty path": (
        '[instance.demo.control]\nlog_dir = ""\n',
        (
            "error: vllm.toml:2:11: expected a string that is not empty\n"
            '   2 | log_dir = ""\n'
            "     |           ^^\n"
            "hint: remove the key or give it a value"
        ),
    ),
    "an integer for a path": (
        "[instance.demo.control]\nlog_dir = 5\n",
        (
            "error: vllm.toml:2:11: expected a string, got an integer\n"
            "   2 | log_dir = 5\n"
            "     |           ^\n"
            'hint: put it in quotes, like "..."'
        ),
    ),
    "a nul character": (
        '[master]\npython = "a\\u0000"\n',
        (
            "error: vllm.toml:2:10: a NUL character cannot be passed to a program\n"
            '   2 | python = "a\\u0000"\n'
            "     |          ^^^^^^^^^\n"
            "hint: remove the NUL character"
        ),
    ),
    "a negative duration": (
        "[instance.demo.control]\nstop_timeout_s = -1\n",
        (
            "error: vllm.toml:2:18: expected a number of seconds above 0, got -1\n"
            "   2 | stop_timeout_s = -1\n"
            "     |                  ^^\n"
            "hint: write a number above 0, like 30"
        ),
    ),
    "an endless duration": (
        "[instance.demo.control]\nstop_timeout_s = inf\n",
        (
            "error: vllm.toml:2:18: expected a number of seconds above 0, got inf\n"
            "   2 | stop_timeout_s = inf\n"
            "     |                  ^^^\n"
            "hint: write a finite number, like 3600"
        ),
    ),
    "a string for a duration": (
        '[instance.demo.control]\nstop_timeout_s = "5"\n',
        (
            "error: vllm.toml:2:18: expected a number of seconds, got a string\n"
            '   2 | stop_timeout_s = "5"\n'
            "     |                  ^^^\n"
            "hint: write seconds as a number, without quotes"
        ),
    ),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES)
def test_value_bad_says_whole_message(text: str, message: str) -> None:
    assert messages(text) == message
