"""Secrets that are written out in a configuration, wherever in it they stand. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from launcher.config.masking import find_secrets
from launcher.config.problems import dotted
from launcher.config.secrets import holds_secret, is_secret_name
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.config.document import Document
    from launcher.config.problems import Path, TomlValue

REFERENCES = ("env:", "file:")


@record
class FoundSecret:
    """A value that is a secret, or says where one is (`env:NAME`, `file:/path`)."""

    document: Document
    path: Path
    value: str

    @property
    def name(self) -> str:
        """Return its place as a user writes it."""
        return dotted(self.path)

    @property
    def is_reference(self) -> bool:
        """Tell whether the value is not the secret itself; in an array it always is."""
        return self.value.startswith(REFERENCES) and all(isinstance(k, str) for k in self.path)


def list_secrets(documents: Sequence[Document]) -> tuple[FoundSecret, ...]:
    """Return every secret of these documents."""
    return tuple(
        FoundSecret(document=document, path=path, value=value)
        for document in documents
        for path, value in _walk(document.data, (), inside=False)
    )


def _walk(
    value: TomlValue | Mapping[str, TomlValue], path: Path, *, inside: bool
) -> Iterator[tuple[Path, str]]:
    """Yield the secrets below a place; `inside` a table or array with a secret name all are."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _walk(each, (*path, key), inside=inside or is_secret_name(key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            follows = index > 0 and _is_secret_flag(value[index - 1])
            yield from _walk(each, (*path, index), inside=inside or follows)
    elif isinstance(value, str) and value and (inside or _tells_secret(value)):
        yield path, value


def _is_secret_flag(word: TomlValue) -> bool:
    return isinstance(word, str) and word.startswith("--") and is_secret_name(word.lstrip("-"))


def _tells_secret(text: str) -> bool:
    flag, mark, _ = text.partition("=")
    in_flag = bool(mark) and _is_secret_flag(flag)
    return in_flag or "PRIVATE KEY-----" in text or holds_secret(text)


_TOLD = re.compile(r"""([\w.-]+)["']?\s*[=:]\s*["']([^"']+)["']""")


def tells_in_comment(text: str) -> bool:
    """Tell whether a comment of a TOML text has a secret: a setting put aside, or a URL's."""
    return any(
        _tells_setting(text[start:end])
        for start, end in find_secrets(text)
        if start and text[start - 1] == "#"
    )


def _tells_setting(comment: str) -> bool:
    pairs = _TOLD.findall(comment)
    named = any(is_secret_name(key) and not value.startswith(REFERENCES) for key, value in pairs)
    return named or holds_secret(comment)
