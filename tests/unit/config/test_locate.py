from __future__ import annotations

import pytest

from launcher.config.locate import find_place, index

TEXT = """\
# comment
[instance."qwen2.5".server]
max-model-len = 4096  # tokens
speculative_config = { method = "ngram", n = 3 }
extra_args = [
  "--a",
  "--b",
]
[[more]]
x = 1
[[more]]
x = 2
"""

PLACES = {
    ("instance", "qwen2.5", "server"): (2, 1, 2, 1),
    ("instance", "qwen2.5", "server", "max-model-len"): (3, 1, 3, 17),
    ("instance", "qwen2.5", "server", "speculative_config", "n"): (4, 42, 4, 46),
    ("instance", "qwen2.5", "server", "extra_args"): (5, 1, 5, 14),
    ("instance", "qwen2.5", "server", "extra_args", 1): (7, 3, 7, 3),
    ("more", 0, "x"): (10, 1, 10, 5),
    ("more", 1): (11, 1, 11, 1),
    ("more", 1, "x"): (12, 1, 12, 5),
}


@pytest.mark.parametrize(("path", "where"), PLACES.items())
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_index_path_gives_line_and_column(
    path: tuple[str | int, ...], where: tuple[int, ...], line_end: str
) -> None:
    place = index(TEXT.replace("\n", line_end))[path]
    assert (place.line, place.column, place.value_line, place.value_column) == where


def test_index_table_implied_by_dotted_key_is_at_that_key() -> None:
    places = index("instance.demo.list = [\n  {a = 1},\n]\n")
    assert places[("instance",)].line == places[("instance", "demo")].line == 1


def test_index_header_after_subtable_is_at_the_header() -> None:
    assert index("[a.b]\n[a]\n")[("a",)].line == 2


def test_find_place_other_spelling_of_an_option_is_exact() -> None:
    path = ("instance", "qwen2.5", "server", "max_model_len")
    place, exact = find_place(index(TEXT), path)
    assert place is not None
    assert (place.line, exact) == (3, True)


def test_find_place_names_that_differ_in_hyphens_are_not_mixed_up() -> None:
    text = "[instance.a-b.server]\nmax-len = 1\n[instance.a_b.server]\nmax-len = 2\n"
    place, exact = find_place(index(text), ("instance", "a_b", "server", "max_len"))
    assert place is not None
    assert (place.line, exact) == (4, True)


def test_find_place_unknown_path_gives_the_nearest_table() -> None:
    place, exact = find_place(index(TEXT), ("instance", "qwen2.5", "server", "port"))
    assert place is not None
    assert (place.line, exact) == (2, False)
    assert find_place(index(TEXT), ("master", "enable")) == (None, False)
