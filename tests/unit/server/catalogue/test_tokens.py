"""The table of the translation, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.server.catalogue.data import load_catalogue
from launcher.server.catalogue.tokens import render_tokens

if TYPE_CHECKING:
    from launcher.config.problems import TomlValue

CATALOGUE = load_catalogue("0.32.0")


def tokens(key: str, value: TomlValue) -> list[str]:
    return render_tokens(key, value, CATALOGUE.find(key))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("model", "/models/a", ["--model", "/models/a"]),
        ("port", 8001, ["--port", "8001"]),
        ("gpu_memory_utilization", 0.85, ["--gpu-memory-utilization", "0.85"]),
        ("max_model_len", -1, ["--max-model-len=-1"]),
        ("max_model_len", "25.6k", ["--max-model-len", "25.6k"]),
        ("chat_template", "--x", ["--chat-template=--x"]),
        ("max-model-len", 1, ["--max-model-len", "1"]),
    ],
)
def test_scalar_is_a_pair(key: str, value: TomlValue, expected: list[str]) -> None:
    assert tokens(key, value) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("trust_remote_code", True, ["--trust-remote-code"]),
        ("trust_remote_code", False, []),  # its default is false already
        ("enable_prefix_caching", False, ["--no-enable-prefix-caching"]),  # default: vLLM decides
        ("enable_log_deltas", False, ["--no-enable-log-deltas"]),  # default: true
        ("disable_log_stats", False, []),  # has no twin
        ("no_enable_prefix_caching", True, ["--no-enable-prefix-caching"]),
        ("no_enable_prefix_caching", False, ["--enable-prefix-caching"]),
        ("hf_token", True, ["--hf-token"]),
        ("hf_token", False, []),
    ],
)
def test_boolean_is_a_flag_or_its_twin(key: str, value: bool, expected: list[str]) -> None:
    assert tokens(key, value) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("served_model_name", ["a", "b"], ["--served-model-name", "a", "b"]),
        ("served_model_name", ["-a"], ["--served-model-name=-a"]),
        ("served_model_name", [], []),
        ("middleware", ["m.a", "m.b"], ["--middleware", "m.a", "--middleware", "m.b"]),
        ("cudagraph_capture_sizes", [1, 2], ["--cudagraph-capture-sizes", "1", "2"]),
        ("device_ids", [0, 1], ["--device-ids", "0,1"]),
        ("allowed_origins", ["*", "b"], ["--allowed-origins", '["*","b"]']),
        ("allowed_origins", [], ["--allowed-origins", "[]"]),
        ("lora_modules", [{"name": "a"}, "b=/c"], ["--lora-modules", '{"name":"a"}', "b=/c"]),
    ],
)
def test_list_goes_as_the_option_takes_it(
    key: str, value: list[TomlValue], expected: list[str]
) -> None:
    assert tokens(key, value) == expected


def test_table_is_compact_json() -> None:
    table: TomlValue = {"method": "ngram", "n": 3, "ü": [True, None]}
    expected = ["--speculative-config", '{"method":"ngram","n":3,"ü":[true,null]}']
    assert tokens("speculative_config", table) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, ["--my-flag"]),
        (False, []),
        ([1, 2], ["--my-flag", "1", "--my-flag", "2"]),
        ({"a": 1}, ["--my-flag", '{"a":1}']),
        ("-x", ["--my-flag=-x"]),
    ],
)
def test_unknown_option_follows_the_contract_alone(value: TomlValue, expected: list[str]) -> None:
    assert render_tokens("my_flag", value, None) == expected


@pytest.mark.parametrize(("value", "expected"), [(True, ["true"]), (False, None)])
def test_truthy_option_of_0_11_gets_a_text(value: bool, expected: list[str] | None) -> None:
    option = load_catalogue("0.11.0").find("guided_decoding_disable_fallback")
    flag = "--guided-decoding-disable-fallback"
    assert render_tokens("guided_decoding_disable_fallback", value, option) == (
        [flag, *expected] if expected else [flag + "="]
    )
