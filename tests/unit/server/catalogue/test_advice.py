"""What a user is told about a key that this version does not have: whole messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.server.catalogue.advice import explain_unknown
from launcher.server.catalogue.data import load_catalogue
from launcher.server.catalogue.successors import BEFORE_FIRST, SUCCESSORS

if TYPE_CHECKING:
    from launcher.config.problems import TomlValue


@pytest.mark.parametrize(
    ("version", "key", "message", "hint"),
    [
        (
            "0.32.0",
            "gpu_memory_utilisation",
            "vLLM 0.32.0 has no option 'gpu_memory_utilisation'",
            "did you mean 'gpu_memory_utilization'?",
        ),
        (
            "0.32.0",
            "swap_space",
            "'swap_space' was removed in vLLM 0.18",
            "remove it: vLLM no longer swaps requests to CPU memory",
        ),
        (
            "0.32.0",
            "guided_decoding_backend",
            "'guided_decoding_backend' was removed in vLLM 0.12",
            'use structured_outputs_config = { backend = "auto" }',
        ),
        (
            "0.32.0",
            "disable-log-requests",
            "'disable-log-requests' was removed in vLLM 0.17",
            "use enable_log_requests = false (requests are not logged unless asked for)",
        ),
        (
            "0.32.0",
            "speculative_model",
            "'speculative_model' was removed before vLLM 0.11",
            'use speculative_config = { model = "...", num_speculative_tokens = 5 }',
        ),
        (
            "0.25.0",
            "watchdog_config",
            "'watchdog_config' was added in vLLM 0.33, this is 0.25.0",
            "use vLLM 0.33.0 or newer, or leave it out",
        ),
        ("0.32.0", "tp", "vLLM 0.32.0 has no option 'tp'", "did you mean 'tensor_parallel_size'?"),
        (
            "0.32.0",
            "zzzzqqq",
            "vLLM 0.32.0 has no option 'zzzzqqq'",
            "give flags that the catalogue does not know by extra_args",
        ),
        (
            "",
            "zzzzqqq",
            "vLLM 0.33.0 (newest known) has no option 'zzzzqqq'",
            "give flags that the catalogue does not know by extra_args",
        ),
    ],
)
def test_unknown_key_is_explained(version: str, key: str, message: str, hint: str) -> None:
    assert explain_unknown(load_catalogue(version), key) == (message, hint)


def test_every_option_with_a_successor_went_away() -> None:
    newest = load_catalogue("0.32.0")
    for name in SUCCESSORS:
        assert newest.find(name) is None
        assert (name in BEFORE_FIRST) != bool(newest.history(name)), name


def test_successor_that_this_version_lacks_is_not_named() -> None:
    _, hint = explain_unknown(load_catalogue("0.18.0"), "use_gpu_for_pooling_score")
    assert hint == "remove it: it is on by default since 0.20"


def test_every_successor_is_an_option_of_the_newest_version() -> None:
    for name, successor in SUCCESSORS.items():
        key = successor.use.partition(" ")[0]
        assert not key or load_catalogue().find(key), name


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        (
            "guided_decoding_backend",
            "outlines",
            'use structured_outputs_config = { backend = "outlines" }',
        ),
        ("num_redundant_experts", 4, "use eplb_config = { num_redundant_experts = 4 }"),
        ("eplb_log_balancedness", False, "use eplb_config = { log_balancedness = false }"),
        ("num_redundant_experts", None, "use eplb_config = { num_redundant_experts = 0 }"),
    ],
)
def test_hint_carries_the_users_own_value_over(key: str, value: TomlValue, hint: str) -> None:
    assert explain_unknown(load_catalogue("0.32.0"), key, value)[1] == hint
