"""Bad input: the whole message that a user sees."""

# ruff: noqa: E501  (a line of a message is one string)

from __future__ import annotations

import pytest

from tests.support.messages import messages

FILES = {
    "an empty id": (
        '[instance.demo.control]\ngpu_ids = "0,,1"\n',
        (
            'error: vllm.toml:2:11: expected "all", "none" or GPU ids like "0,1", got an empty id in \'0,,1\'\n'
            '   2 | gpu_ids = "0,,1"\n'
            "     |           ^^^^^^\n"
            "hint: remove the spare comma"
        ),
    ),
    "an id twice": (
        '[instance.demo.control]\ngpu_ids = "0,0"\n',
        (
            "error: vllm.toml:2:11: GPU 0 is given twice\n"
            '   2 | gpu_ids = "0,0"\n'
            "     |           ^^^^^\n"
            "hint: name each GPU once"
        ),
    ),
    "an id twice in two spellings": (
        '[instance.demo.control]\ngpu_ids = "1,01"\n',
        (
            "error: vllm.toml:2:11: GPU 1 is given twice\n"
            '   2 | gpu_ids = "1,01"\n'
            "     |           ^^^^^^\n"
            "hint: name each GPU once"
        ),
    ),
    "a device name": (
        '[instance.demo.control]\ngpu_ids = "gpu0"\n',
        (
            'error: vllm.toml:2:11: expected "all", "none" or GPU ids like "0,1", got \'gpu0\'\n'
            '   2 | gpu_ids = "gpu0"\n'
            "     |           ^^^^^^\n"
            "hint: write 0 for that GPU"
        ),
    ),
    "an empty string": (
        '[instance.demo.control]\ngpu_ids = ""\n',
        (
            'error: vllm.toml:2:11: expected "all", "none" or GPU ids like "0,1", got an empty string\n'
            '   2 | gpu_ids = ""\n'
            "     |           ^^\n"
            'hint: write "none" for no GPU'
        ),
    ),
    "the wrong case": (
        '[instance.demo.control]\ngpu_ids = "ALL"\n',
        (
            'error: vllm.toml:2:11: expected "all", "none" or GPU ids like "0,1", got \'ALL\'\n'
            '   2 | gpu_ids = "ALL"\n'
            "     |           ^^^^^\n"
            'hint: write "all" alone'
        ),
    ),
    "a word among ids": (
        '[instance.demo.control]\ngpu_ids = "none,0"\n',
        (
            'error: vllm.toml:2:11: expected "all", "none" or GPU ids like "0,1", got \'none\' in \'none,0\'\n'
            '   2 | gpu_ids = "none,0"\n'
            "     |           ^^^^^^^^\n"
            'hint: write "none" alone'
        ),
    ),
    "an empty array": (
        "[instance.demo.control]\ngpu_ids = []\n",
        (
            'error: vllm.toml:2:11: expected "all", "none" or GPU ids like "0,1", got an empty array\n'
            "   2 | gpu_ids = []\n"
            "     |           ^^\n"
            'hint: write "none" for no GPU'
        ),
    ),
    "strings in an array": (
        '[instance.demo.control]\ngpu_ids = ["0"]\n',
        (
            'error: vllm.toml:2:11: expected "all", "none" or GPU ids like "0,1", got a string in an array\n'
            '   2 | gpu_ids = ["0"]\n'
            "     |           ^^^^^\n"
            'hint: write [0, 1] or "0,1"'
        ),
    ),
    "a negative integer": (
        "[instance.demo.control]\ngpu_ids = -1\n",
        (
            'error: vllm.toml:2:11: expected "all", "none" or GPU ids like "0,1", got -1\n'
            "   2 | gpu_ids = -1\n"
            "     |           ^^\n"
            'hint: write "none" for no GPU'
        ),
    ),
    "a float": (
        "[instance.demo.control]\ngpu_ids = 1.5\n",
        (
            'error: vllm.toml:2:11: expected "all", "none" or GPU ids like "0,1", got a float\n'
            "   2 | gpu_ids = 1.5\n"
            "     |           ^^^\n"
            'hint: write [0, 1] or "0,1"'
        ),
    ),
    "a boolean in an array": (
        "[instance.demo.control]\ngpu_ids = [0, true]\n",
        (
            'error: vllm.toml:2:11: expected "all", "none" or GPU ids like "0,1", got a boolean in an array\n'
            "   2 | gpu_ids = [0, true]\n"
            "     |           ^^^^^^^^^\n"
            'hint: write [0, 1] or "0,1"'
        ),
    ),
    "only a prefix": (
        '[instance.demo.control]\ngpu_ids = "GPU-"\n',
        (
            'error: vllm.toml:2:11: expected "all", "none" or GPU ids like "0,1", got \'GPU-\'\n'
            '   2 | gpu_ids = "GPU-"\n'
            "     |           ^^^^^^\n"
            'hint: write [0, 1] or "0,1"'
        ),
    ),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES)
def test_gpu_ids_bad_says_whole_message(text: str, message: str) -> None:
    assert messages(text) == message
