"""TOML texts for property tests: random data, written in every spelling that TOML has."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, TypeAlias

import tomli
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

Draw: TypeAlias = "Callable[[st.SearchStrategy[Any]], Any]"
Table: TypeAlias = dict[str, Any]

NASTY = "ab_-\"'\\ \t\n#=[]{},.:é漢😀\r\x1f\x7f"
BARE = "abcdefghijklmnopqrstuvwxyzABC0123456789_-"
COMMENTS = ["", " # plain", ' # "open', " # '''", ' # """ = [', "\t#\té漢"]


def _takes_toml_1_1() -> bool:
    try:
        tomli.loads("a = {\nb = 1,\n}")
    except tomli.TOMLDecodeError:
        return False
    return True


MULTI_LINE_INLINE = _takes_toml_1_1()

KEYS = st.one_of(
    st.sampled_from(["a", "b", "a-b", "a_b", "server", "instance", "", "a.b", '"', "é", "1"]),
    st.text(alphabet=BARE, min_size=1, max_size=5),
    st.text(alphabet=NASTY, max_size=4),
)
SCALARS = st.one_of(
    st.text(alphabet=NASTY, max_size=8),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(allow_nan=False),
    st.dates(),
    st.times(),
    st.datetimes(),
)


def values(scalars: st.SearchStrategy[Any] = SCALARS) -> st.SearchStrategy[Any]:
    """Return a strategy for anything that a TOML key may hold."""
    return st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(KEYS, inner, max_size=3),
            st.lists(st.dictionaries(KEYS, inner, max_size=2), min_size=1, max_size=3),
        ),
        max_leaves=8,
    )


TABLES = st.dictionaries(KEYS, values(), max_size=4)


@st.composite
def toml_texts(draw: Draw, tables: st.SearchStrategy[Table] = TABLES) -> str:
    """Draw a TOML text for a table from `tables`."""
    # One number for all spellings: drawing each would take most of the time of the suite.
    writer = _Writer(random.Random(draw(st.integers(0, 2**32))))  # noqa: S311  (no secret)
    writer.section((), draw(tables))
    text = "\n".join(writer.lines) + draw(st.sampled_from(["", "\n", "\n\n"]))
    # The whole text, strings too: tomli reads every line end as "\n".
    return str(text.replace("\n", "\r\n") if draw(st.booleans()) else text)


class _Writer:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.lines: list[str] = []

    def pick(self, *choices: str) -> str:
        return self.chance.choice(choices)

    def section(self, path: tuple[str, ...], table: Table) -> None:
        """Write a table's pairs, then the tables inside it that get headers of their own."""
        later: list[tuple[str, Any]] = []
        for key, value in table.items():
            kind = self.pick("inline", "dotted", "header")
            if kind == "header" and (isinstance(value, dict) or _is_array_of_tables(value)):
                later.append((key, value))
            else:
                self.pair((key,), value, dotted=kind == "dotted")
        for key, value in later:
            inner = (*path, key)
            for one in value if isinstance(value, list) else [value]:
                left, right = ("[[", "]]") if isinstance(value, list) else ("[", "]")
                header = f"{left}{self.keys(inner)}{right}"
                self.lines.append(self.pick("", "  ", "\t") + header + self.pick(*COMMENTS))
                self.section(inner, one)

    def pair(self, keys: tuple[str, ...], value: object, *, dotted: bool) -> None:
        if dotted and isinstance(value, dict) and value:
            for key, inner in value.items():
                self.pair((*keys, key), inner, dotted=self.chance.random() < 0.5)
            return
        pad = self.pick("", " ", "\t")
        line = f"{pad}{self.keys(keys)}{pad}={pad}{self.value(value)}"
        self.lines.append(line + self.pick(*COMMENTS))

    def keys(self, keys: tuple[str, ...]) -> str:
        dot = self.pick(".", " . ", ".\t")
        pad = self.pick("", " ")
        return pad + dot.join(self.key(key) for key in keys) + pad

    def key(self, key: str) -> str:
        forms = [self.basic(key)]
        if key and set(key) <= set(BARE):
            forms += [key, key]
        if _is_literal(key) and "'" not in key:
            forms.append(f"'{key}'")
        return self.pick(*forms)

    def value(self, value: object) -> str:
        if isinstance(value, str):
            return self.string(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return repr(value)
        if isinstance(value, list):
            return self.array(value)
        if isinstance(value, dict):
            return self.inline(value)
        return value.isoformat()  # type: ignore[attr-defined, no-any-return]  # date or time

    def array(self, items: list[Any]) -> str:
        if not items:
            return self.pick("[]", "[ ]", "[\n]", "[ # ]\n]")
        line_end = self.pick(" ", "\n", "\n\n  ", " # ]\n", ' # """,\n')
        tail = self.pick("", ",", f",{line_end}")
        inner = f",{line_end}".join(self.value(item) for item in items)
        return f"[{line_end}{inner}{line_end if tail else ''}{tail}]"

    def inline(self, table: Table) -> str:
        space = self.pick(" ", "\n", " # }\n") if MULTI_LINE_INLINE else " "
        pairs = [f"{self.keys((key,))}={self.value(value)}" for key, value in table.items()]
        return "{" + space + f",{space}".join(pairs) + space + "}"

    def string(self, text: str) -> str:
        forms = [self.basic(text), self.multi_line_basic(text)]
        if _is_literal(text):
            forms.append(f"'{text}'" if "'" not in text else forms[0])
        if _is_literal(text.replace("\n", "")) and "'''" not in text:
            # Up to two quotes may stand before the closing three; a first newline is dropped.
            forms.append(f"'''\n{text}'''")
        return self.pick(*forms)

    def basic(self, text: str) -> str:
        return '"' + "".join(self.escaped(character) for character in text) + '"'

    def multi_line_basic(self, text: str) -> str:
        body = "".join(c if c in '\n"' else self.escaped(c) for c in text)
        while '"""' in body:
            body = body.replace('"""', '""\\"')
        # A first newline is dropped, and so is all space behind a backslash at the end of a line.
        opening = self.pick("\n", "\\\n", "\\  \n\n") if _solid(body) else "\n"
        return f'"""{opening}{body}"""'

    def escaped(self, character: str) -> str:
        short = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
        number = ord(character)
        forms = [short.get(character, f"\\U{number:08x}"), f"\\U{number:08X}"]
        if number <= 0xFFFF:
            forms.append(f"\\u{number:04x}")
        if character not in '"\\' and (character.isprintable() or character == "\t"):
            forms += [character] * 3
        return self.pick(*forms)


def _solid(body: str) -> bool:
    """Tell whether a line continuation before this text keeps all of it."""
    return bool(body) and not body[0].isspace()


def _is_literal(text: str) -> bool:
    return all(character.isprintable() or character == "\t" for character in text)


def _is_array_of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(i, dict) for i in value)
