"""The catalogue and the translation of values, compared with vLLM's own parser.

Set VLLMD_TEST_VLLM_PYTHON to an interpreter that has vLLM.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from launcher.server.catalogue.data import load_catalogue, load_environment
from launcher.server.catalogue.installed import find_installed
from launcher.server.catalogue.lines import find_lines
from launcher.server.catalogue.texts import environment_names
from launcher.server.catalogue.tokens import render_tokens
from launcher.server.catalogue.values import check_value
from tests.support.real_parser import RealParser
from tests.support.require import require
from tests.support.shapes import TABLES, cases_of
from tools.catalogue.__main__ import ask_release
from tools.catalogue.render import render_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.server.catalogue.lookup import Catalogue
    from launcher.server.catalogue.option import Option

PYTHON = os.environ.get("VLLMD_TEST_VLLM_PYTHON", "")
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(900),
]

# Options that cannot be compared value by value, each with its reason.
EXCEPTIONS = {
    "config": "names a YAML file, whose settings the parser reads at once: it never keeps the name",
}
# Not options: argparse's own, and the model of `vllm serve MODEL`.
POSITIONAL = {"help", "model_tag"}


@pytest.fixture(scope="module")
def parser() -> Iterator[RealParser]:
    require("vllm", "VLLMD_TEST_VLLM_PYTHON names no interpreter with vLLM", present=bool(PYTHON))
    with RealParser(PYTHON) as real:
        yield real


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    require("vllm", "VLLMD_TEST_VLLM_PYTHON names no interpreter with vLLM", present=bool(PYTHON))
    installed = find_installed(PYTHON, os.environ)
    assert installed
    found = load_catalogue(installed.version)
    assert found.match == "exact"
    return found


def described(parser: RealParser) -> dict[str, dict[str, Any]]:
    return {option["dest"]: option for option in parser.options}


def parse(parser: RealParser, option: Option, value: Any) -> Any:
    """Translate a value and let vLLM parse the tokens."""
    assert check_value(option, value) is None, (option.name, value)
    facts = described(parser)[option.name]
    fields = list(TABLES.get(option.name, facts["sample"])) if facts["dataclass"] else None
    tokens = render_tokens(option.name, value, option)
    # Neighbours show a value that swallows, or is swallowed by, what stands beside it.
    around = (
        ["--seed", "1", *tokens, "--port", "2"] if option.name not in {"seed", "port"} else tokens
    )
    return parser.parse(around, option.name, fields)


def test_options_of_the_parser_are_those_of_the_catalogue(
    parser: RealParser, catalogue: Catalogue
) -> None:
    real = {option["dest"] for option in parser.options} - POSITIONAL
    assert real == set(catalogue.names())
    if catalogue.version == "0.32.0":
        assert len(parser.options) == 318


def test_every_long_flag_of_the_parser_is_found_and_no_other(
    parser: RealParser, catalogue: Catalogue
) -> None:
    real = {flag: dest for flag, dest in parser.flags.items() if flag.startswith("--")}
    del real["--help"]
    keys = {flag: flag[2:] for flag in real}
    keys |= {f"--no-{flag[2:]}": f"no-{flag[2:]}" for flag in real}
    keys |= {flag[:-1]: flag[2:-1] for flag in real}  # an abbreviation
    found = {flag: option.target for flag, key in keys.items() if (option := catalogue.find(key))}
    assert found == real


def test_every_option_gets_every_value_as_meant(parser: RealParser, catalogue: Catalogue) -> None:
    wrong = []
    count = 0
    for option in catalogue.options():
        if option.name in EXCEPTIONS:
            continue
        facts = described(parser)[option.name]
        cases = list(cases_of(option, facts["sample"] if facts["dataclass"] else None))
        assert cases, option.name
        for value, meant in cases:
            count += 1
            try:
                got = parse(parser, option, value)
            except (ValueError, AssertionError) as error:
                got = error
            if got != meant or type(got) is not type(meant):
                wrong.append((option.name, value, meant, got))
    assert wrong == []
    assert count > 5 * len(catalogue.names())


def test_flags_both_ways_end_as_said(parser: RealParser, catalogue: Catalogue) -> None:
    for option in catalogue.options():
        for name in (f"no_{option.name}", option.name):
            view = catalogue.find(name)
            if view is None or view.kind != "flag":
                continue
            for value in (True, False):
                tokens = render_tokens(name, value, view)
                meant = value if view.name == view.target else not value
                assert parser.parse(tokens, view.target) is meant, (name, value)


def test_defaults_are_those_of_the_parser(parser: RealParser, catalogue: Catalogue) -> None:
    real = described(parser)
    known = [option for option in catalogue.options() if option.default_known]
    assert [(o.name, o.default) for o in known] == [
        (o.name, real[o.name]["default"]) for o in known
    ]


@settings(max_examples=300)
@given(data=st.data())
def test_any_text_reaches_any_string_option(
    parser: RealParser, catalogue: Catalogue, data: st.DataObject
) -> None:
    plain = [
        option
        for option in catalogue.options()
        if option.kind == "string" and not option.choices and not option.several
        if option.name not in EXCEPTIONS and not option.append
    ]
    option = data.draw(st.sampled_from(plain))
    text = data.draw(st.text(st.characters(codec="utf-8", exclude_characters="\x00")))
    assume(text != "--")  # no parser of Python 3.11 takes it; `check_value` refuses it
    meant = None if option.optional and text in {"", "None"} else text
    assert parse(parser, option, text) == meant


@settings(max_examples=150)
@given(data=st.data())
def test_any_table_reaches_any_free_json_option(
    parser: RealParser, catalogue: Catalogue, data: st.DataObject
) -> None:
    free = [
        option
        for option in catalogue.options()
        if option.json == "object"
        and option.name != "lora_modules"
        and not described(parser)[option.name]["dataclass"]
    ]
    option = data.draw(st.sampled_from(free))
    text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
    scalars = st.booleans() | st.integers(-(2**53), 2**53) | text
    values = st.recursive(scalars, lambda s: st.lists(s) | st.dictionaries(text, s), max_leaves=8)
    table = data.draw(st.dictionaries(text, values))
    assert parse(parser, option, table) == table


@settings(max_examples=200)
@given(data=st.data())
def test_a_text_refused_by_us_is_refused_by_vllm(
    parser: RealParser, catalogue: Catalogue, data: st.DataObject
) -> None:
    kinds = {"integer", "number", "size", "size_or_auto"}
    numeric = [o for o in catalogue.options() if o.kind in kinds or (o.choices and not o.suggested)]
    option = data.draw(st.sampled_from(numeric))
    text = data.draw(
        st.text("0123456789.kKmMgGtTeE-+_ ax") | st.sampled_from(["1.5K", "nan", "inf"])
    )
    assume(text != "--")
    tokens = [f"{option.flag}={text}"]
    if check_value(option, text) is None:
        parser.parse(tokens, option.name)
    else:
        with pytest.raises(ValueError, match=r"error: argument "):
            parser.parse(tokens, option.name)


def test_regenerated_version_equals_the_committed_data(catalogue: Catalogue) -> None:
    said = ask_release(PYTHON, None)
    for name, option in said["options"].items():
        committed = _line(catalogue, name).split("\t")[2:]
        assert committed == list(render_row(name, option)), name
    assert environment_names(load_environment(), catalogue) == said["environment"]


def _line(catalogue: Catalogue, name: str) -> str:
    lines = find_lines(catalogue.text, f"\n{name}\t")
    return next(line for line in lines if catalogue._holds(line))  # noqa: SLF001
