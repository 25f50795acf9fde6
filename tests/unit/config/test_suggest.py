from __future__ import annotations

from launcher.config.suggest import find_nearest, render_hint


def test_find_nearest_misspelled_word_gives_the_known_one() -> None:
    assert find_nearest("enabld", ["enabled", "background"]) == "enabled"
    assert find_nearest("Max-Model-Len", ["max_model_len"]) == "max_model_len"


def test_find_nearest_strange_word_gives_none() -> None:
    assert find_nearest("zzz", ["enabled"]) is None


def test_render_hint_names_the_nearest_or_all() -> None:
    assert render_hint("prot", ["port", "host"]) == "did you mean 'port'?"
    assert render_hint("zzz", ["port", "host"]) == "known here: host, port"
