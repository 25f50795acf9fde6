"""The contract of the TOML file, sections 3a and 3b: an instance's settings and its flags."""

from __future__ import annotations

import pytest

from tests.support.contract import OTHER, one, process, words
from tests.support.facts import (
    MODEL,
    env_of,
    flags_of,
    messages_of,
    plan_text,
    process_of,
    read_text,
)

# 3a. Instance Launcher Settings


def test_control_enabled_is_true_by_default() -> None:
    """The contract, section 3a, enabled."""
    assert read_text("[instance.a]\n").instances[0].control.enabled is True


def test_control_enabled_false_skips_the_instance() -> None:
    """The contract, section 3a, enabled."""
    plan = plan_text("[instance.a.control]\nenabled = false\n")
    assert plan.processes() == ()
    assert plan.skipped == (("a", "control.enabled is false"),)


@pytest.mark.parametrize("value", [True, False])
def test_control_background_overrides_the_global_one(value: bool) -> None:
    """The contract, section 3a, background."""
    wanted, other = str(value).lower(), str(not value).lower()
    toml = f"[instance.control]\nbackground={other}\n[instance.a.control]\nbackground={wanted}\n"
    assert process_of(plan_text(f"{toml}[instance.a.server]\n{MODEL}")).foreground is not value


def test_control_log_file_overrides_log_dir() -> None:
    """The contract, section 3a, log_file."""
    log = process('log_dir = "/a"\nlog_file = "/b/c.log"').log
    assert log is not None
    assert log.path == "/b/c.log"


@pytest.mark.parametrize("control", ["", 'gpu_ids = "all"'])
def test_control_gpu_ids_all_or_omitted_leaves_the_default(control: str) -> None:
    """The contract, section 3a, gpu_ids all."""
    assert "CUDA_VISIBLE_DEVICES" not in env_of(one(control))
    assert "CUDA_VISIBLE_DEVICES" not in process(control).unset


def test_control_gpu_ids_none_shows_no_gpu() -> None:
    """The contract, section 3a, gpu_ids none."""
    assert env_of(one('gpu_ids = "none"'))["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("value", "devices"),
    [
        ('"0"', "0"),
        ('"0,1"', "0,1"),
        ('"3,1,2"', "3,1,2"),
        ('" 0 , 1 "', "0,1"),
        ("2", "2"),
        ("[0, 1]", "0,1"),
        ('"GPU-8932f937-d72c"', "GPU-8932f937-d72c"),
    ],
)
def test_control_gpu_ids_list_shows_those_gpus(value: str, devices: str) -> None:
    """The contract, section 3a, gpu_ids "0,1,..."; integers and lists are our addition."""
    assert env_of(one(f"gpu_ids = {value}"))["CUDA_VISIBLE_DEVICES"] == devices


# 3b. Instance vLLM Arguments. The same rows hold with vLLM's options known and without.

FLAG_ROWS = {
    "underscores become hyphens": ("max_model_len = 8", ["--max-model-len", "8"]),
    "hyphens stay": ("max-model-len = 8", ["--max-model-len", "8"]),
    "string": ('served_model_name = "m"', ["--served-model-name", "m"]),
    "empty string": ('served_model_name = ""', ["--served-model-name", ""]),
    "string with spaces": ('chat_template = "a b"', ["--chat-template", "a b"]),
    "string like a flag": ('chat_template = "-x"', ["--chat-template=-x"]),
    "integer": ("port = 8001", ["--port", "8001"]),
    "negative integer": ("seed = -1", ["--seed=-1"]),
    "float": ("gpu_memory_utilization = 0.5", ["--gpu-memory-utilization", "0.5"]),
    "whole float": ("gpu_memory_utilization = 1.0", ["--gpu-memory-utilization", "1.0"]),
    "true": ("trust_remote_code = true", ["--trust-remote-code"]),
    "false": ("trust_remote_code = false", []),
    "list of one": ('served_model_name = ["m"]', ["--served-model-name", "m"]),
    "empty list": ("served_model_name = []", []),
    "list repeats the flag": (
        'middleware = ["a.B", "c.D"]',
        ["--middleware", "a.B", "--middleware", "c.D"],
    ),
    "table becomes compact JSON": (
        'speculative_config = { method = "ngram", num_speculative_tokens = 4, x = [true, 0.5] }',
        ["--speculative-config", '{"method":"ngram","num_speculative_tokens":4,"x":[true,0.5]}'],
    ),
    "table keeps characters": ('hf_overrides = { a = "é" }', ["--hf-overrides", '{"a":"é"}']),
    "extra_args come last, as they are": (
        'extra_args = ["--seed", "1", "--kv_events_config", "{}"]\nport = 8001',
        ["--port", "8001", "--seed", "1", "--kv_events_config", "{}"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", FLAG_ROWS)
def test_flags_with_vllms_options_known(row: str) -> None:
    """The contract, section 3b, for vLLM 0.32.0."""
    server, wanted = FLAG_ROWS[row]
    assert words(server) == wanted


@pytest.mark.parametrize("row", FLAG_ROWS)
def test_flags_of_a_server_that_is_not_vllms(row: str) -> None:
    """The contract, section 3b, without knowledge of options."""
    server, wanted = FLAG_ROWS[row]
    assert words(server, OTHER) == wanted


KNOWN_ROWS = {
    "false that omission would not mean": (
        "enable_prefix_caching = false",
        ["--no-enable-prefix-caching"],
        [],
    ),
    "false where vLLM would decide itself": ("enable_lora = false", ["--no-enable-lora"], []),
    "false that omission means": ("enforce_eager = false", [], []),
    "several values after one flag": (
        'served_model_name = ["a", "b"]',
        ["--served-model-name", "a", "b"],
        ["--served-model-name", "a", "--served-model-name", "b"],
    ),
    "tables after one flag": (
        'lora_modules = [{ name = "x", path = "/x" }, { name = "y", path = "/y" }]',
        ["--lora-modules", '{"name":"x","path":"/x"}', '{"name":"y","path":"/y"}'],
        [
            "--lora-modules", '{"name":"x","path":"/x"}',
            "--lora-modules", '{"name":"y","path":"/y"}',
        ],
    ),
    "list for an option that takes JSON": (
        'allowed_origins = ["a", "b"]',
        ["--allowed-origins", '["a","b"]'],
        ["--allowed-origins", "a", "--allowed-origins", "b"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", KNOWN_ROWS)
def test_flags_whose_meaning_needs_the_options(row: str) -> None:
    """The contract, section 3b, where its letter would not mean to vLLM what the user wrote."""
    server, known, unknown = KNOWN_ROWS[row]
    assert words(server) == known
    assert words(server, OTHER) == unknown


def test_flags_keep_the_order_of_the_merged_table() -> None:
    """The contract, section 3b: global keys first, then the instance's own."""
    plan = plan_text(
        f"[instance.server]\nseed = 1\ndtype = 'auto'\n[instance.a.server]\n{MODEL}port = 1\n"
    )
    names = [word for word in flags_of(plan) if word.startswith("--")]
    assert names == ["--seed", "--dtype", "--model", "--port"]


def test_extra_args_of_both_tables_add_up() -> None:
    """The contract, section 3b, extra_args: the global ones first."""
    plan = plan_text(
        '[instance.server]\nextra_args = ["--seed", "1"]\n'
        f'[instance.a.server]\n{MODEL}extra_args = ["--max-num-seqs", "8"]\n'
    )
    assert flags_of(plan)[2:] == ["--seed", "1", "--max-num-seqs", "8"]


# Notes on vLLM flags


def test_model_that_is_not_there_is_refused() -> None:
    """The contract, notes: the model must be visible inside the container."""
    toml = '[instance.a.server]\nmodel = "/models/m"\n'
    plan = plan_text(toml, missing_models={"/models/m": "does not exist"})
    assert messages_of(plan) == [
        (
            "error",
            "the model '/models/m' does not exist",
            "mount it at that path, or correct the path",
        )
    ]


def test_multimodal_options_of_the_notes_are_passed() -> None:
    """The contract, notes: Qwen2-VL."""
    assert words("trust_remote_code = true\nenable_mm_embeds = true") == [
        "--trust-remote-code",
        "--enable-mm-embeds",
    ]
