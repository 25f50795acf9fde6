"""Which names hold secrets. Their values are never shown, and never go into an argument list."""

from __future__ import annotations

MASK = "***"
_WORDS = {"token", "secret", "secrets", "password", "passwords", "passwd", "passphrase"} | {
    "credential",
    "credentials",
    "authorization",
    "bearer",
}
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
    return folded.endswith(_ENDINGS) or not _WORDS.isdisjoint(folded.split("_"))
