"""What rides along on a seed disk: the launcher's file and overrides, without secrets unasked.

A seed disk lies on the host's disk for as long as the guest exists. So a secret enters only when
it was asked for by its name, like `instance.chat.server.api_key`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from launcher.config.document import decode_toml
from launcher.config.masking import find_secrets
from launcher.config.problems import WARNING, Problem, dotted
from launcher.config.secrets import MASK, holds_secret, is_secret_name
from launcher.errors import ConfigError
from launcher.hypervisor.model import SEED_CONFIG, SEED_OVERRIDES
from launcher.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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


def plan_riders(
    config: Document,
    overrides: Document | None,
    asked: frozenset[str],
    resolve: Callable[[str], str],
) -> tuple[dict[str, bytes], tuple[Problem, ...]]:
    """Return the files that ride along, and warnings about secrets that the guest has to have.

    `asked` names the secrets that may enter; `resolve` turns a reference among them into the
    secret, which rides in the overrides.

    Raises:
        ConfigError: a secret stands in a document, and was not asked for.
    """
    documents = (config,) if overrides is None else (config, overrides)
    secrets = list_secrets(documents)
    refused = tuple(
        _refusal(secret)
        for secret in secrets
        if not secret.is_reference and secret.name not in asked
    )
    if refused:
        raise ConfigError(refused, documents)
    warnings = tuple(
        _warning(secret) for secret in secrets if secret.is_reference and secret.name not in asked
    )
    tree: dict[str, TomlValue] = {} if overrides is None else _copied(overrides.data)
    effective = {secret.path: secret for secret in secrets}  # an override wins over the file
    for secret in effective.values():
        if secret.is_reference and secret.name in asked:
            _put(tree, secret.path, resolve(secret.value))
    files = {SEED_CONFIG: _without_told_secrets(config).encode()}
    if tree:
        files[SEED_OVERRIDES] = json.dumps(tree).encode()
    return files, warnings


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


def _refusal(secret: FoundSecret) -> Problem:
    return Problem(
        message=f"'{secret.name}' is a secret, and would be written to the seed disk",
        hint=f'write it as "env:NAME" or "file:/path", or ask for it: --with-secret {secret.name}',
        origin=secret.document.origin,
        path=secret.path,
    )


def _warning(secret: FoundSecret) -> Problem:
    kind, _, place = secret.value.partition(":")
    what = "variable" if kind == "env" else "file"
    return Problem(
        message=f"'{secret.name}' comes from the {what} '{place}', which the guest has to have",
        hint=f"to send it on the seed disk: --with-secret {secret.name}",
        severity=WARNING,
        origin=secret.document.origin,
        path=secret.path,
    )


def _without_told_secrets(config: Document) -> str:
    """Return the file's text with secrets in its comments masked: nobody reads those by name."""
    text, masked, last = config.text, "", 0
    for start, end in find_secrets(text):
        if start and text[start - 1] == "#":
            masked += f"{text[last:start]} {MASK}"
            last = end
    masked += text[last:]
    if decode_toml(masked.encode(), config.origin).data != config.data:
        problem = Problem(
            message="a comment of this file seems to hold a secret",
            hint="take it out of the comment",
            origin=config.origin,
        )
        raise ConfigError((problem,), (config,))
    return masked


def _put(tree: dict[str, TomlValue], path: Path, value: str) -> None:
    table = tree
    for key in path[:-1]:
        inner = table.setdefault(str(key), {})
        if not isinstance(inner, dict):
            return  # an override has put something else in the place of the whole table
        table = inner
    table[str(path[-1])] = value


def _copied(data: Mapping[str, TomlValue]) -> dict[str, TomlValue]:
    copy: dict[str, TomlValue] = json.loads(json.dumps(data))
    return copy
