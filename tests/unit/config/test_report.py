from __future__ import annotations

import json

from launcher.config.document import Document, parse_toml
from launcher.config.layers import DEFAULT
from launcher.config.overrides import parse_overrides
from launcher.config.problems import WARNING, Origin, Problem, dotted
from launcher.config.report import (
    Locator,
    describe,
    render_count,
    render_github,
    render_json,
    render_text,
    sort_problems,
)

FILE = Origin(kind="file", name="vllm.toml")
TEXT = '[a]\nx = 1\nhf_token = "sk-4f1d"\n\t"é" = [\n  1,\n]\n'
DOCUMENT = parse_toml(TEXT, FILE)
PORT = Problem(message="no", hint="do", origin=FILE, path=("a", "x"))


def _text(problem: Problem, document: Document = DOCUMENT) -> str:
    return render_text(problem, Locator([document]).spot(problem))


def test_render_text_problem_in_file_quotes_the_line() -> None:
    assert _text(PORT) == "error: vllm.toml:2:5: no\n   2 | x = 1\n     |     ^\nhint: do"


def test_render_text_tab_before_the_value_keeps_the_caret_below_it() -> None:
    problem = Problem(message="no", origin=FILE, path=("a", "é"), at_key=True)
    assert _text(problem) == 'error: vllm.toml:4:2: no\n   4 | \t"é" = [\n     | \t^^^'


def test_render_text_secret_value_is_masked() -> None:
    problem = Problem(message="no", origin=FILE, path=("a", "hf_token"))
    assert (
        _text(problem) == "error: vllm.toml:3:12: no\n   3 | hf_token = ***\n     |            ^^^"
    )


def test_render_text_misspelled_secret_is_masked() -> None:
    document = parse_toml('VLLM_APII_KEY = "sk-4f1d"', FILE)
    problem = Problem(message="no", origin=FILE, path=("VLLM_APII_KEY",), at_key=True)
    shown = "error: vllm.toml:1:1: no\n   1 | VLLM_APII_KEY = ***\n     | ^^^^^^^^^^^^^"
    assert _text(problem, document) == shown


def test_render_text_missing_key_shows_its_table() -> None:
    problem = Problem(message="no", origin=FILE, path=("a", "missing"))
    assert _text(problem) == "error: vllm.toml:1:1: no\n   1 | [a]\n     | ^^^"


def test_render_text_override_shows_its_path_and_no_source() -> None:
    document = parse_overrides('{"a": {"hf_token": "sk-4f1d"}}')
    problem = Problem(message="no", origin=document.origin, path=("a", "hf_token"))
    assert _text(problem, document) == "error: AUTO_INFER_VLLM_OVERRIDES: a.hf_token: no"


def test_render_text_default_value_shows_its_path_only() -> None:
    problem = Problem(message="no", origin=DEFAULT, path=("master",))
    assert _text(problem) == "error: master: no"
    assert describe(problem, Locator([]).spot(problem))["file"] is None


def test_render_text_argument_shows_its_path_once() -> None:
    origin = Origin(kind="argument", name="--set a.x")
    assert _text(Problem(message="no", origin=origin, path=("a", "x"))) == "error: --set a.x: no"


def test_render_text_control_characters_are_escaped() -> None:
    problem = Problem(message="unknown key 'a\nb\x1b[31m'", severity=WARNING)
    assert _text(problem) == "warning: unknown key 'a\\nb\\x1b[31m'"


def test_render_text_colour_paints_the_words() -> None:
    text = render_text(PORT, Locator([]).spot(PORT), colour=True)
    assert text.startswith("\x1b[31;1merror\x1b[0m: vllm.toml: a.x: no")


def test_render_github_file_is_annotated() -> None:
    spot = Locator([DOCUMENT]).spot(PORT)
    assert render_github(PORT, spot) == "::error file=vllm.toml,line=2,col=5::no; hint: do"


def test_render_github_variable_is_not_a_file() -> None:
    origin = Origin(kind="override", name="OVERRIDES")
    problem = Problem(message="50%\nno", origin=origin, line=1, column=2)
    shown = render_github(problem, Locator([]).spot(problem))
    assert shown == "::error::OVERRIDES:1:2: 50%25%0Ano"


def test_render_json_has_all_fields() -> None:
    pairs = sort_problems([PORT], Locator([DOCUMENT]))
    expected = {"severity": "error", "path": "a.x", "file": "vllm.toml", "line": 2, "column": 5}
    assert json.loads(render_json(pairs)) == [{**expected, "message": "no", "hint": "do"}]


def test_sort_problems_orders_by_place_and_those_without_last() -> None:
    nowhere = Problem(message="nowhere")
    later = Problem(message="later", origin=FILE, path=("a", "é"))
    pairs = sort_problems([nowhere, later, PORT], Locator([DOCUMENT]))
    assert [problem.message for problem, _ in pairs] == ["no", "later", "nowhere"]


def test_render_count_speaks_of_several_only() -> None:
    warning = Problem(message="hm", severity=WARNING)
    assert render_count([PORT]) == ""
    assert render_count([PORT, warning, PORT]) == "2 errors, 1 warning"


def test_where_names_file_and_line_or_the_source() -> None:
    locator = Locator([DOCUMENT])
    assert locator.where(FILE, ("a", "x")) == "vllm.toml:2:1"
    assert locator.where(Origin(kind="default", name="default"), ("a",)) == "default"


def test_dotted_path_is_a_toml_key() -> None:
    assert dotted(("a", "qwen2.5", "x-y", 0)) == 'a."qwen2.5".x-y[0]'
    assert dotted(("", 'a"b\\\n')) == '""."a\\"b\\\\\\U0000000a"'


def test_render_text_header_with_a_name_like_a_secrets_is_shown() -> None:
    document = parse_toml("[instance.servers]\n", FILE)
    problem = Problem(message="no", origin=FILE, path=("instance", "servers"), at_key=True)
    assert "[instance.servers]" in _text(problem, document)


def test_render_text_very_long_line_shows_what_is_around_the_place() -> None:
    document = parse_toml(f'a = ["{"x" * 500}", 7, "{"y" * 500}"]\n', FILE)
    problem = Problem(message="no", origin=FILE, path=("a", 1))
    _, source, caret = _text(problem, document).splitlines()
    assert len(source) < 180
    assert source.startswith("   1 | ...xxx")
    assert source.endswith("yyy...")
    assert source[caret.index("^")] == "7"
