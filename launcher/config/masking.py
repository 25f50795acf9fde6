"""Hide secrets in TOML lines that are quoted in a message. Used only when a place is shown.

The text may be broken (that is why it is quoted), so this is a lexer that never fails and, in
doubt, hides too much: from a secret's name to the end of its value, over as many lines as the
value has, or to the end of the text where it never ends.
"""

from __future__ import annotations

import re

from launcher.config.locate import unescaped
from launcher.config.secrets import MASK, is_secret_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Span: TypeAlias = tuple[int, int]  # from, to: indices into the text

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r]+)
    | (?P<newline>\n)
    | (?P<comment>\#[^\n]*)
    | (?P<string>
          \"{3}(?:\\.|[^\\])*?(?:\"{3,5}|\Z) | '{3}.*?(?:'{3,5}|\Z)
        | \"(?:\\[^\n]|[^\\"\n])*(?:"|\\?(?=\n)|\\?\Z) | '[^'\n]*(?:'|(?=\n)|\Z)
      )
    | (?P<open>[\[{])
    | (?P<close>[\]}])
    | (?P<mark>[,=:.])
    | (?P<word>[^\s\[\]{},=:.#"']+)
    """,
    re.VERBOSE | re.DOTALL,
)
_ASSIGN = re.compile(r"[ \t]*[=:]?[ \t]*")
_KEY_AHEAD = re.compile(r"[ \t]*[=:.]")
# Inside strings and comments: a name with something behind it, and the password of a URL.
_NAMED = re.compile(r"(?<![\w.-])([\w.-]++)[\"'\\]*(?:\s*[=:]|\s+\S)")
# The same of a flag anywhere in a string; in a comment it is mostly prose.
_FLAG = re.compile(r"(?<![\w.-])--?([\w.-]++)(?:=|\s+(?=\S))")
_URL_PASSWORD = re.compile(r"\w://[^/@\s]+@")


def find_secrets(text: str) -> list[Span]:
    """Return where secrets stand in a text that is TOML, or was meant to be."""
    return _Lexer(text).scan()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.spans: list[Span] = []
        self.depth = 0
        self.at_start = True  # of a statement
        self.in_header = False
        self.secret_table = False  # below a header like [instance.demo.env.tokens.hf_token]
        self.next_is_secret = False  # behind "--api-key" in an array of words
        self.secret_from = -1  # where the secret being passed over began, or -1
        self.secret_depth = 0

    def scan(self) -> list[Span]:
        for token in _TOKEN.finditer(self.text):
            kind = token.lastgroup
            if kind == "newline":
                self._end_line(token.start())
            elif kind == "comment":
                if self.secret_from < 0 and _tells_secret(token[0]):
                    self.spans.append((token.start() + 1, token.end()))
            elif kind != "space":
                self._pass(kind or "", token.start(), token.end())
        self._end_secret(len(self.text))
        return self.spans

    def _pass(self, kind: str, start: int, end: int) -> None:
        if self.at_start:
            self.in_header = self.text[start] == "["
            self.secret_table = self.secret_table and not self.in_header
            if self.secret_table:
                self._begin_secret(start)
        if kind in {"word", "string"}:
            self._name_or_value(kind, start, end)
        elif kind == "open":
            self.depth += 1
        elif kind == "close":
            if self.depth <= self.secret_depth:
                self._end_secret(start)
            self.depth = max(0, self.depth - 1)
        elif self.text[start] == "," and self.depth == self.secret_depth:
            self._end_secret(start)
        self.at_start = False

    def _name_or_value(self, kind: str, start: int, end: int) -> None:
        content = self.text[start:end]
        if kind == "string":
            content = _content(content)
        is_key = kind == "word" or self.at_start or bool(_KEY_AHEAD.match(self.text, end))
        if self.next_is_secret:
            self.next_is_secret = False
            self.spans.append((start, end))
        elif (is_key or self.in_header) and is_secret_name(content):
            self.secret_table = self.secret_table or self.in_header
            behind = _ASSIGN.match(self.text, end)
            self._begin_secret(behind.end() if behind else end)
        elif content.startswith("-") and is_secret_name(content):
            self.next_is_secret = True
        if kind == "string" and (_tells_secret(content) or _has_secret_flag(content)):
            self._begin_secret(start)  # not only the string: its quotes may be the mistake

    def _begin_secret(self, start: int) -> None:
        if self.secret_from < 0:
            self.secret_from = start
            self.secret_depth = self.depth

    def _end_secret(self, end: int) -> None:
        if self.secret_from >= 0 and self.text[self.secret_from : end].strip():
            self.spans.append((self.secret_from, end))
        self.secret_from = -1

    def _end_line(self, start: int) -> None:
        if self.in_header:
            self.depth = 0
        if self.depth == 0:
            # Behind "api_key =" and nothing else, the value is likely on the next line.
            if self.secret_from < 0 or self.text[self.secret_from : start].strip():
                self._end_secret(start)
            self.at_start = True
            self.in_header = False


def _content(string: str) -> str:
    """Return what is between the quotes, escapes resolved as far as they are right."""
    quote = string[0] * (3 if string.startswith(string[0] * 3) else 1)
    inner = string.removeprefix(quote).removesuffix(quote)
    if quote[0] == "'":
        return inner
    try:
        return unescaped(inner)
    except (ValueError, IndexError, OverflowError):
        return inner


def _tells_secret(text: str) -> bool:
    named = any(is_secret_name(found[1].lstrip("-")) for found in _NAMED.finditer(text))
    return named or bool(_URL_PASSWORD.search(text))


def mask_line(start: int, line: str, spans: list[Span], column: int) -> tuple[str, int]:
    """Return a line, which begins at index `start`, without its secrets, and the moved column."""
    shown, at, moved = "", 0, column
    for begin, end in sorted(spans):
        first, last = max(begin - start, at), min(end - start, len(line))
        if first >= last or first > len(line):
            continue
        shown += line[at:first] + MASK
        if column - 1 >= last:
            moved += len(MASK) - (last - first)
        elif column - 1 > first:
            moved -= column - 1 - first
        at = last
    return shown + line[at:], moved


def _has_secret_flag(text: str) -> bool:
    return any(is_secret_name(found[1]) for found in _FLAG.finditer(text))
