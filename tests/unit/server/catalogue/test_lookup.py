"""Finding options by key and version, in the committed data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.server.catalogue.data import load_catalogue

if TYPE_CHECKING:
    from launcher.server.catalogue.lookup import Catalogue


@pytest.fixture
def newest() -> Catalogue:
    return load_catalogue("0.33.0")


def test_find_key_with_hyphens_finds_the_same(newest: Catalogue) -> None:
    assert newest.find("max-model-len") == newest.find("max_model_len")


def test_find_unknown_key_gives_none(newest: Catalogue) -> None:
    assert newest.find("max_model_length") is None


def test_find_abbreviation_gives_none(newest: Catalogue) -> None:
    assert newest.find("max_model") is None


def test_find_empty_key_gives_none(newest: Catalogue) -> None:
    assert newest.find("") is None


@pytest.mark.parametrize("key", ["versions", "#", "help", "model_tag", "tp"])
def test_find_what_is_no_option_gives_none(newest: Catalogue, key: str) -> None:
    assert newest.find(key) is None


def test_find_other_spelling_keeps_it_and_names_the_target(newest: Catalogue) -> None:
    option = newest.find("device_memory_utilization")
    assert option
    assert option.flag == "--device-memory-utilization"
    assert option.target == "gpu_memory_utilization"


def test_find_negative_gives_the_inverse_view(newest: Catalogue) -> None:
    option = newest.find("no_trust_remote_code")
    assert option
    assert (option.flag, option.negative) == ("--no-trust-remote-code", "--trust-remote-code")
    assert (option.target, option.default) == ("trust_remote_code", True)


def test_find_negative_of_no_flag_gives_none(newest: Catalogue) -> None:
    assert newest.find("no_port") is None


def test_find_disable_is_the_inverse_of_enable_since_0_33(newest: Catalogue) -> None:
    option = newest.find("disable_log_requests")
    assert option
    assert option.target == "enable_log_requests"
    assert load_catalogue("0.32.0").find("disable_log_requests") is None


def test_find_option_of_an_older_version_only(newest: Catalogue) -> None:
    assert newest.find("swap_space") is None
    assert load_catalogue("0.17.1").find("swap_space")


def test_option_lifetime_says_first_and_last_version() -> None:
    option = load_catalogue("0.14.0").find("swap_space")
    assert option
    assert (option.since, option.until) == ("0.11.0", "0.17.1")


def test_history_of_a_removed_option(newest: Catalogue) -> None:
    assert newest.history("swap_space") == (("0.11.0", "0.17.1"),)


def test_history_of_a_changed_option_is_one_span(newest: Catalogue) -> None:
    assert newest.history("gpu_memory_utilization") == (("0.11.0", ""),)


def test_history_of_an_unknown_key_is_empty(newest: Catalogue) -> None:
    assert newest.history("nonsense") == ()


@pytest.mark.parametrize(
    ("version", "default"), [("0.11.0", 0.9), ("0.19.1", 0.9), ("0.20.0", 0.92), ("0.33.0", 0.92)]
)
def test_default_follows_the_version(version: str, default: float) -> None:
    option = load_catalogue(version).find("gpu_memory_utilization")
    assert option
    assert (option.default_known, option.default) == (True, default)


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("host", None),
        ("port", 8000),
        ("tensor_parallel_size", 1),
        ("pipeline_parallel_size", 1),
        ("data_parallel_size", 1),
    ],
)
def test_defaults_that_plans_rest_on_hold_in_every_version(key: str, default: object) -> None:
    for version in load_catalogue().versions:
        option = load_catalogue(version).find(key)
        assert option
        assert (option.default_known, option.default) == (True, default)


def test_default_without_a_json_form_is_unknown(newest: Catalogue) -> None:
    option = newest.find("compilation_config")
    assert option
    assert not option.default_known


def test_secrets_are_marked(newest: Catalogue) -> None:
    secret = [option.name for option in newest.options() if option.secret]
    assert secret == ["api_key", "hf_token"]


def test_integer_choices_are_integers(newest: Catalogue) -> None:
    option = newest.find("max_lora_rank")
    assert option
    assert option.choices[:3] == (1, 8, 16)


def test_short_flag_leads_to_its_option(newest: Catalogue) -> None:
    assert newest.find_short("tp") == "tensor_parallel_size"
    assert newest.find_short("zz") is None


def test_number_of_options_of_0_32_is_that_of_its_parser() -> None:
    # 318 actions: these, `--help`, and the positional model of `vllm serve MODEL`.
    assert len(load_catalogue("0.32.0").names()) == 316


def test_every_line_of_every_version_can_be_read() -> None:
    for version in load_catalogue().versions:
        catalogue = load_catalogue(version)
        assert [option.name for option in catalogue.options()] == catalogue.names()


def test_every_minor_release_is_there() -> None:
    minors = {version.rsplit(".", 1)[0] for version in load_catalogue().versions}
    assert minors == {f"0.{minor}" for minor in range(11, 34)}


def test_names_are_sorted_and_appear_once(newest: Catalogue) -> None:
    assert newest.names() == sorted(set(newest.names()))
