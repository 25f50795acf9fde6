"""Which names hold secrets. Their values are never shown, and never go into an argument list."""

from __future__ import annotations

import re

MASK = "***"
_WORDS = {"token", "secret", "secrets", "password", "passwords", "passwd", "passphrase"} | {
    "credential",
    "credentials",
    "authorization",
    "bearer",
}
# Words of names that count or switch something: `dbo_decode_token_threshold`, `allow_credentials`.
_HARMLESS = {"threshold", "ids", "allow"}
_ENDINGS = (
    "api_key",
    "api_keys",
    "apikey",
    "access_key",
    "access_key_id",
    "private_key",
    "auth_key",
)


def is_secret_name(name: str) -> bool:
    """Tell whether an option or a variable holds a secret, judging by its name.

    `hf_token`, `VLLM_API_KEY` and `AWS_SECRET_ACCESS_KEY` do; `max_num_batched_tokens` and
    `ssl_keyfile` (a path) do not.
    """
    folded = name.strip().strip("\"'").lower().replace("-", "_").replace(".", "_")
    words = folded.split("_")
    named = not _WORDS.isdisjoint(words) and _HARMLESS.isdisjoint(words)
    return named or folded.endswith(_ENDINGS)


def mask_urls(text: str) -> str:
    """Mask user names, passwords, and query values with secret names in every URL of a text."""
    text = re.sub(r"(://)[^/?#\s\"'<>]*@", rf"\1{MASK}@", text)
    return re.sub(r"([?&])([^=&?#\s\"']+)=([^&#\s\"']*)", _masked_pair, text)


def holds_secret(url: str) -> bool:
    """Tell whether `mask_urls` would mask anything in a URL."""
    return mask_urls(url) != url


def _masked_pair(pair: re.Match[str]) -> str:
    mark, name, value = pair.groups()
    secret = is_secret_name(name) or name.lower().endswith("signature")
    return f"{mark}{name}={MASK if secret else value}"
