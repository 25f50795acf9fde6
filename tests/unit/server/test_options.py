"""Server options against vLLM's own: which are errors, which are warnings, and what is passed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.facts import MODEL, flags_of, messages_of, plan_text

OTHER = '[master]\napi_server_module = "my.server"\n'
SIZE = 'an integer, "auto", or a string such as "1k" or "25.6k"'
WARN = '[master]\nunknown_flags = "warn"\n'


def check(server: str, master: str = "", **facts: Any) -> list[tuple[str, str, str]]:
    return messages_of(plan_text(f"{master}[instance.a.server]\n{MODEL}{server}\n", **facts))


FAULTS = {
    "max_modl_len = 8": (
        "vLLM 0.32.0 has no option 'max_modl_len'",
        "did you mean 'max_model_len'?",
    ),
    "swap_space = 4": (
        "'swap_space' was removed in vLLM 0.18",
        "remove it: vLLM no longer swaps requests to CPU memory",
    ),
    'max_model_len = "many"': (
        f"'max_model_len': expected {SIZE}, got the string 'many'",
        f"give {SIZE}",
    ),
    "max_num_seqs = 1.5": (
        "'max_num_seqs': expected an integer, got a float",
        "give an integer",
    ),
    "max_num_seqs = true": (
        "'max_num_seqs': expected an integer, got a boolean",
        "give it a value, or leave the key out",
    ),
    'enforce_eager = "true"': (
        "'enforce_eager': expected true or false, got the string 'true'",
        "write true without quotes",
    ),
    'dtype = "bflaot16"': ("'dtype': 'bflaot16' is not a choice", "did you mean 'bfloat16'?"),
    "seed = [1, 2]": (
        "'seed': expected an integer, got an array of 2: vLLM would use only the last one",
        "keep one of them",
    ),
    "speculative_config = 1": (
        "'speculative_config': expected a table, got an integer",
        "give a table",
    ),
    "tp = 2": ("vLLM 0.32.0 has no option 'tp'", "did you mean 'tensor_parallel_size'?"),
}  # fmt: skip


@pytest.mark.parametrize("server", FAULTS)
def test_option_that_vllm_would_not_take_is_refused(server: str) -> None:
    assert check(server) == [("error", *FAULTS[server])]


@pytest.mark.parametrize("server", FAULTS)
def test_option_of_another_server_is_its_own_business(server: str) -> None:
    assert check(server, OTHER) == []


@pytest.mark.parametrize("version", [None, "0.99.0"])
def test_option_of_a_version_not_known_is_warned_of(version: str | None) -> None:
    (problem,) = check("max_modl_len = 8", vllm_version=version)
    assert problem == (
        "warning",
        "vLLM 0.33.0 (newest known) has no option 'max_modl_len'",
        "did you mean 'max_model_len'?",
    )


def test_option_not_known_is_passed_on_where_that_is_wanted() -> None:
    toml = f"{WARN}[instance.a.server]\n{MODEL}brand_new = 1\n"
    plan = plan_text(toml)
    message = "vLLM 0.32.0 has no option 'brand_new'"
    hint = "give flags that the catalogue does not know by extra_args"
    assert messages_of(plan) == [("warning", message, hint)]
    assert flags_of(plan)[2:] == ["--brand-new", "1"]


def test_wrong_value_is_an_error_also_where_unknown_flags_are_not() -> None:
    (problem,) = check("max_num_seqs = 1.5", WARN)
    assert problem[0] == "error"


def test_option_under_two_names_is_refused() -> None:
    problems = check("enable_prefix_caching = true\nno_enable_prefix_caching = true")
    message = "'no_enable_prefix_caching' sets the same option as 'enable_prefix_caching'"
    assert problems == [("error", message, "keep one of the two")]


def test_option_in_two_spellings_is_refused() -> None:
    problems = check("max_num_seqs = 1\nmax-num-seqs = 2")
    message = "'max-num-seqs' is set twice: 'max_num_seqs' is the same option"
    assert problems == [("error", message, "keep one of the two")]


# What no command line can carry, whichever server.

UNFIT = {
    "x = 2024-01-01": (
        "'x': expected a string, number, boolean, array or table, got a date or time",
        'put it in quotes: "..."',
    ),
    "x = 12:00:00": (
        "'x': expected a string, number, boolean, array or table, got a date or time",
        'put it in quotes: "..."',
    ),
    "x = { y = [2024-01-01] }": (
        "'x': expected a string, number, boolean, array or table, got a date or time",
        'put it in quotes: "..."',
    ),
    "x = inf": ("'x': expected a finite number, got inf", "write a number"),
    "x = -inf": ("'x': expected a finite number, got -inf", "write a number"),
    "x = [nan]": ("'x': expected a finite number, got nan", "write a number"),
    'x = "\\u0000"': (
        "'x': a NUL character cannot be passed to a program",
        "remove the NUL character",
    ),
    "x = [true]": (
        "'x': expected strings, numbers or tables in the array, got a boolean",
        "put it in quotes",
    ),
    "x = [[1]]": (
        "'x': expected strings, numbers or tables in the array, got an array",
        "leave out the inner brackets",
    ),
    "--x = 1": (
        "'__x': an option is written without its leading hyphens",
        "write 'x'",
    ),
    '"a b" = 1': ("'a b': this cannot be the name of an option", "use letters, digits and '_'"),
    '"" = 1': ("'': this cannot be the name of an option", "use letters, digits and '_'"),
    '"é" = 1': ("'é': this cannot be the name of an option", "use letters, digits and '_'"),
}


@pytest.mark.parametrize("server", UNFIT)
def test_value_that_cannot_be_passed_is_refused(server: str) -> None:
    assert check(server, OTHER) == [("error", *UNFIT[server])]


@pytest.mark.parametrize("value", ["2024-01-01", "inf", '"\\u0000"'])
def test_value_that_cannot_be_passed_is_refused_by_the_same_words_for_vllm(value: str) -> None:
    (known,) = check(f"served_model_name = {value}")
    (other,) = check(f"served_model_name = {value}", OTHER)
    assert known == other


def test_value_that_cannot_be_passed_gives_no_flag() -> None:
    plan = plan_text(f"{OTHER}[instance.a.server]\n{MODEL}x = inf\ny = 1\n")
    assert flags_of(plan)[2:] == ["--y", "1"]
