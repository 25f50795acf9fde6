"""A command line as it may be shown: secrets in it are masked."""

from __future__ import annotations

import json
import re

from launcher.config.secrets import MASK, is_secret_name, mask_urls
from launcher.server.secret_checks import secret_flag, split_flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.server.catalogue.lookup import Catalogue

# In the middle of a text: `--api-key sk-1`, `--api-key=sk-1`, `API_KEY=sk-1`.
_NAME = re.compile(r"(?<![\w.-])(?:-{0,2}(\w[\w.-]*)=|--?(\w[\w.-]*)\s+(?!-))")
_VALUE = re.compile(r"""[^\s"'&]+""")


def mask_words(words: Iterable[str], catalogue: Catalogue | None) -> list[str]:
    """Mask the values of secret flags, and of secret keys in JSON texts."""
    shown: list[str] = []
    behind_secret = False
    for word in words:
        if word.startswith("--"):
            behind_secret = secret_flag(word, catalogue) is not None
            flag, separator, text = split_flag(word)
            text = MASK if behind_secret and text else mask_text(text)
            shown.append(flag + separator + text)
        else:
            shown.append(MASK if behind_secret else mask_text(word))
    return shown


def mask_text(text: str) -> str:
    """Mask what is secret inside a text: passwords in URLs, values in a JSON text, other flags."""
    text = mask_urls(text)
    if not text.startswith(("{", "[")):
        return _mask_settings(text)
    try:
        value = json.loads(text)
    except ValueError:
        return text
    masked = _mask(value)
    return (
        text if masked == value else json.dumps(masked, ensure_ascii=False, separators=(",", ":"))
    )


def _mask_settings(text: str) -> str:
    shown, end = "", 0
    for found in _NAME.finditer(text):
        value = _VALUE.match(text, found.end())
        if value and found.start() >= end and is_secret_name(found[1] or found[2]):
            shown += text[end : value.start()] + MASK
            end = value.end()
    return shown + text[end:]


def _mask(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: MASK if is_secret_name(key) and isinstance(inner, str) else _mask(inner)
            for key, inner in value.items()
        }
    return [_mask(inner) for inner in value] if isinstance(value, list) else value
