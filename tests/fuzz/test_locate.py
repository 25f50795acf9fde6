from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tomli
from hypothesis import example, given

from launcher.config.document import decode_toml
from launcher.config.locate import index
from launcher.config.problems import Origin
from tests.support.toml_text import toml_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.config.locate import Place
    from launcher.config.problems import Path

FILE = Origin(kind="file", name="vllm.toml")


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from _paths(inner, (*path, key))


def _key_parts(source: str) -> list[str]:
    """Return the parts of a key or header as it stands in the source."""
    inner: Any = tomli.loads(f"{source.lstrip('[').rstrip(']')} = 0")
    parts = []
    while isinstance(inner, dict):
        ((part, inner),) = inner.items()
        parts.append(part)
    return parts


def _source(text: str, place: Place) -> str:
    line = text.split("\n")[place.line - 1]
    return line[place.column - 1 : place.column - 1 + place.length]


@given(toml_texts())
@example("a.b = [\n {c = 1},\n]")
@example("x = {a.b = 1}\n[[t]]\n[[t.u]]\n[t.u.v]\nk=''''q'''''")
@example('a = """"""\nb = """"a"""""\nc = ["""\n]""", 1]')
def test_index_any_text_knows_every_path_of_tomli(text: str) -> None:
    places = index(text)
    assert set(places) == set(_paths(tomli.loads(text)))


@given(toml_texts())
@example("a.b = [\n {c = 1},\n]")
@example("[ a . 'b' ] # c\n")
def test_index_any_text_gives_place_that_holds_the_key(text: str) -> None:
    for path, place in index(text).items():
        if isinstance(path[-1], str):
            assert path[-1] in _key_parts(_source(text, place))


@given(toml_texts())
def test_index_any_text_gives_value_that_begins_there(text: str) -> None:
    lines = text.split("\n")
    for place in index(text).values():
        line = lines[place.value_line - 1]
        assert place.value_length >= 1
        assert place.value_column - 1 + place.value_length <= len(line.rstrip("\r"))
        assert not line[place.value_column - 1].isspace()


@given(toml_texts())
def test_decode_toml_with_byte_order_mark_reads_the_same(text: str) -> None:
    raw = text.encode()
    assert decode_toml(b"\xef\xbb\xbf" + raw, FILE).data == decode_toml(raw, FILE).data
