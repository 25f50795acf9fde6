"""What is wrong with a value, and what to do about it: whole messages."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from launcher.server.catalogue.data import load_catalogue
from launcher.server.catalogue.sizes import find_size
from launcher.server.catalogue.values import check_value

if TYPE_CHECKING:
    from launcher.config.problems import TomlValue

CATALOGUE = load_catalogue("0.32.0")
SIZE_OR_AUTO = 'an integer, "auto", or a string such as "1k" or "25.6k"'


def check(key: str, value: TomlValue) -> tuple[str, str] | None:
    option = CATALOGUE.find(key)
    assert option
    return check_value(option, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("port", 8000),
        ("port", "8000"),
        ("gpu_memory_utilization", 1),
        ("max_model_len", "auto"),
        ("max_model_len", -1),
        ("max_num_batched_tokens", "1k"),
        ("dtype", "bfloat16"),
        ("max_lora_rank", 16),
        ("tokenizer_mode", "of-a-plugin"),
        ("moe_backend", "Flashinfer-CUTLASS"),
        ("revision", 123),
        ("served_model_name", "a"),
        ("served_model_name", ["a", "b"]),
        ("lora_modules", [{"name": "a", "path": "/p"}]),
        ("speculative_config", {"method": "ngram"}),
        ("speculative_config", '{"method": "ngram"}'),
        ("kv_transfer_config", '{"cpu_bytes_to_use": 80m}'),
        ("hf_overrides", "some.function"),
        ("allowed_origins", ["*"]),
        ("device_ids", [0, "GPU-1"]),
        ("hf_token", True),
        ("host", "None"),
        ("port", [8000]),
    ],
)
def test_value_that_vllm_takes_is_fine(key: str, value: TomlValue) -> None:
    assert check(key, value) is None


@pytest.mark.parametrize(
    ("key", "value", "message", "hint"),
    [
        ("port", "http", "expected an integer, got the string 'http'", "give an integer"),
        ("port", 8000.0, "expected an integer, got a float", "write 8000"),
        (
            "port",
            True,
            "expected an integer, got a boolean",
            "give it a value, or leave the key out",
        ),
        (
            "trust_remote_code",
            "true",
            "expected true or false, got the string 'true'",
            "write true without quotes",
        ),
        ("enforce_eager", 1, "expected true or false, got an integer", "give true or false"),
        (
            "port",
            {"a": 1},
            "expected an integer, got a table",
            "this option takes no JSON: give its value itself",
        ),
        (
            "max_model_len",
            "1.5K",
            f"expected {SIZE_OR_AUTO}, got the string '1.5K'",
            f"give {SIZE_OR_AUTO}",
        ),
        ("dtype", "bfloat61", "'bfloat61' is not a choice", "did you mean 'bfloat16'?"),
        (
            "max_lora_rank",
            17,
            "'17' is not a choice",
            "one of 1, 8, 16, 32, 64, 128, 256, 320, 512",
        ),
        (
            "host",
            ["a", "b"],
            "expected a string, got an array of 2: vLLM would use only the last one",
            "keep one of them",
        ),
        ("host", [], "expected a string, got an empty array", "leave the key out"),
        ("speculative_config", "ngram", "expected a table, got the string 'ngram'", "give a table"),
        ("speculative_config", [1], "expected a table, got an array", "give a table"),
        (
            "served_model_name",
            ["a", "-b"],
            "an element of several cannot begin with '-'",
            "give it alone or by extra_args",
        ),
        (
            "model",
            dt.date(2026, 1, 1),
            "expected a value that vLLM knows, got a date or time",
            'put it in quotes, like "..."',
        ),
        (
            "gpu_memory_utilization",
            float("nan"),
            "expected a finite number, got nan",
            "give a finite number",
        ),
        (
            "trust_remote_code",
            [True],
            "expected true or false as element, got a boolean",
            "give the value itself, without brackets around it",
        ),
        ("model", "--", "'--' cannot be the value of a flag", "choose another value"),
        ("model", "a\0", "a NUL character cannot be passed to a program", "remove it"),
    ],
)
def test_value_that_vllm_refuses_is_explained(
    key: str, value: TomlValue, message: str, hint: str
) -> None:
    assert check(key, value) == (message, hint)


def test_secret_value_is_never_shown() -> None:
    fault = check("api_key", [["s3cret"]])
    assert fault
    assert "s3cret" not in " ".join(fault)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1k", 1000), ("1K", 1024), ("25.6k", 25600), ("2T", 2 * 2**40), ("7", 7), (" 7 ", 7)],
)
def test_size_is_read_as_vllm_reads_it(text: str, number: int) -> None:
    assert find_size(text) == number


LONG = "9" * 5000  # more than fits into a float, and than Python reads as an integer


@pytest.mark.parametrize(
    "text",
    ["", "k", "1.5K", "1.k", "-1k", "1kk", "x", "1e3", "²k", f"{LONG}k", f"{LONG}K", LONG],
)
def test_text_that_is_no_size_gives_none(text: str) -> None:
    assert find_size(text) is None
