"""What rides along on a seed disk: the launcher's file and overrides, without secrets unasked.

A seed disk lies on the host's disk for as long as the guest exists. So a secret enters only when
it was asked for by its name, like `instance.chat.server.api_key`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from launcher.config.document import decode_toml
from launcher.config.found_secrets import list_secrets
from launcher.config.masking import find_secrets
from launcher.config.problems import WARNING, Problem
from launcher.config.secrets import MASK
from launcher.errors import ConfigError
from launcher.hypervisor.model import SEED_CONFIG, SEED_OVERRIDES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.config.document import Document
    from launcher.config.found_secrets import FoundSecret
    from launcher.config.problems import Path, TomlValue


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
