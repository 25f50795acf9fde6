"""Where each key and value of a TOML text stands. Used only when a place has to be shown.

tomli gives values without positions, so this walks the text again. It assumes a text that tomli
has accepted, which leaves a small grammar: headers, `key = value` lines, and the four kinds of
strings, arrays and inline tables inside values. `index` is one pass, so asking for the places of
all values of a large file costs as much as asking for one.
"""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import Path

SPACE = " \t"
BLANK = " \t\r\n"


@record
class Place:
    """Where a key and its value are: lines and columns count from 1, in characters."""

    line: int
    column: int
    length: int  # of the key, in characters, for the caret
    value_line: int
    value_column: int
    value_length: int  # of the value's first line


class Places(dict["Path", Place]):
    """Places by path, and the paths by what they are with `-` and `_` alike."""

    def __init__(self, places: Mapping[Path, Place]) -> None:
        super().__init__(places)
        self._alike: dict[Path, list[Path]] | None = None

    def alike(self, path: Path) -> list[Path]:
        """Return the known paths that differ from `path` in `-` and `_` at most."""
        if self._alike is None:
            self._alike = {}
            for known in self:
                self._alike.setdefault(_folded_path(known), []).append(known)
        return self._alike.get(_folded_path(path), [])


def index(text: str) -> Places:
    """Return the place of every key path in a TOML text that tomli accepts.

    A table's value is its header's; elements of arrays have an integer as the last part.
    """
    return Places(_Scanner(text).scan())


def find_place(places: Places, path: Path) -> tuple[Place | None, bool]:
    """Return the place of `path`, else of the nearest enclosing table, and whether it is exact.

    Keys are compared with `-` and `_` alike: server options may be written either way.
    """
    if path in places:
        return places[path], True
    alike = places.alike(path)
    if alike:
        # Instances 'a-b' and 'a_b' are two: the one with most parts spelled alike is meant.
        return places[max(alike, key=lambda known: _equal_parts(known, path))], True
    if len(path) <= 1:
        return None, False
    return find_place(places, path[:-1])[0], False


def _equal_parts(one: Path, other: Path) -> int:
    return sum(a == b for a, b in zip(one, other, strict=True))


def _folded_path(path: Path) -> Path:
    return tuple(part.replace("-", "_") if isinstance(part, str) else part for part in path)


class _Scanner:
    def __init__(self, text: str) -> None:
        # tomli reads "\r\n" as one line end; a lone "\r" it refuses.
        self.text = text
        self.at = 0
        self.line = 1
        self.line_start = 0
        self.places: dict[Path, Place] = {}
        self.array_lengths: dict[Path, int] = {}

    def scan(self) -> dict[Path, Place]:
        table: Path = ()
        while self._skip_blank():
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self.places

    # Positions.

    def _mark(self) -> tuple[int, int]:
        return self.line, self.at - self.line_start + 1

    def _advance_to(self, end: int) -> None:
        """Move forward, counting the lines passed."""
        newline = self.text.find("\n", self.at, end)
        while newline != -1:
            self.line += 1
            self.line_start = newline + 1
            newline = self.text.find("\n", newline + 1, end)
        self.at = end

    def _skip_blank(self) -> bool:
        """Skip blanks, line ends and comments; say whether anything is left."""
        while self.at < len(self.text):
            character = self.text[self.at]
            if character in BLANK:
                self._advance_to(self.at + 1)
            elif character == "#":
                end = self.text.find("\n", self.at)
                self._advance_to(len(self.text) if end == -1 else end)
            else:
                return True
        return False

    def _skip_space(self) -> None:
        while self.text[self.at] in SPACE:
            self.at += 1

    # Grammar.

    def _header(self) -> Path:
        line, column = self._mark()
        start = self.at
        double = self.text.startswith("[[", self.at)
        self.at += 2 if double else 1
        path = self._resolved(self._key())
        self.at += 2 if double else 1
        place = self._place(line, column, self.at - start, (line, column, self.at - start))
        if double:
            count = self.array_lengths.get(path, 0)
            self.array_lengths[path] = count + 1
            self.places.setdefault(path, place)
            path = (*path, count)
        self._imply(path, place)
        self.places[path] = place
        return path

    def _resolved(self, key: tuple[str, ...]) -> Path:
        """Insert the current element's index after each part that is an array of tables."""
        path: Path = ()
        for part in key[:-1]:
            path = (*path, part)
            if path in self.array_lengths:
                path = (*path, self.array_lengths[path] - 1)
        return (*path, key[-1])

    def _pair(self, table: Path) -> None:
        line, column = self._mark()
        start = self.at
        key = self._key()
        length = len(self.text[start : self.at].rstrip())
        self.at += 1  # the '='
        self._skip_space()
        path = (*table, *key)
        # Before the value, whose own keys imply the same tables: those may be lines below.
        self._imply(path, self._place(line, column, length, (line, column, length)))
        value = self._value(path)
        self.places[path] = self._place(line, column, length, value)

    def _imply(self, path: Path, place: Place) -> None:
        """Note a place for the tables that a dotted key or header implies."""
        for end in range(1, len(path)):
            self.places.setdefault(path[:end], place)

    def _key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            self._skip_space()
            parts.append(self._key_part())
            self._skip_space()
            if self.text[self.at] != ".":
                return tuple(parts)
            self.at += 1

    def _key_part(self) -> str:
        start = self.at
        if self.text[self.at] in "\"'":
            self._string()
            raw = self.text[start + 1 : self.at - 1]
            return raw if self.text[start] == "'" else unescaped(raw)
        while self.text[self.at].isalnum() or self.text[self.at] in "_-":
            self.at += 1
        return self.text[start : self.at]

    def _value(self, path: Path) -> tuple[int, int, int]:
        """Pass over one value, noting what is inside it; return its line, column and length."""
        line, column = self._mark()
        start = self.at
        character = self.text[self.at]
        if character == "[":
            self._array(path)
        elif character == "{":
            self._inline_table(path)
        elif character in "\"'":
            self._string()
        else:
            while self.at < len(self.text) and self.text[self.at] not in ",]}#\r\n":
                self.at += 1
        raw = self.text[start : self.at].rstrip()
        return line, column, len(raw.split("\n", 1)[0].rstrip("\r"))

    def _array(self, path: Path) -> None:
        self.at += 1
        count = 0
        while self._skip_blank() and self.text[self.at] != "]":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            element = (*path, count)
            line, column, length = self._value(element)
            self.places[element] = self._place(line, column, length, (line, column, length))
            count += 1
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while self._skip_blank() and self.text[self.at] != "}":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self._pair(path)
        self.at += 1

    def _string(self) -> None:
        quote = self.text[self.at]
        literal = quote == "'"
        if self.text.startswith(quote * 3, self.at):
            self._advance_to(self._closing(quote * 3, self.at + 3, literal=literal))
            # Up to two quotes may stand right before the closing three.
            while self.at < len(self.text) and self.text[self.at] == quote:
                self.at += 1
        else:
            self._advance_to(self._closing(quote, self.at + 1, literal=literal))

    def _closing(self, mark: str, start: int, *, literal: bool) -> int:
        """Return the index behind the closing quotes."""
        at = start
        while not self.text.startswith(mark, at):
            at += 2 if self.text[at] == "\\" and not literal else 1
        return at + len(mark)

    @staticmethod
    def _place(line: int, column: int, length: int, value: tuple[int, int, int]) -> Place:
        return Place(
            line=line,
            column=column,
            length=length,
            value_line=value[0],
            value_column=value[1],
            value_length=value[2],
        )


def unescaped(raw: str) -> str:
    """Resolve the escapes of a basic string (TOML 1.0, section "String", and 1.1's two more)."""
    simple = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}
    digits = {"x": 2, "u": 4, "U": 8}
    text, at = "", 0
    while at < len(raw):
        if raw[at] != "\\":
            text, at = text + raw[at], at + 1
            continue
        letter = raw[at + 1]
        count = digits.get(letter, 0)
        text += chr(int(raw[at + 2 : at + 2 + count], 16)) if count else simple.get(letter, letter)
        at += 2 + count
    return text
