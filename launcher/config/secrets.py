"""Which names hold secrets. Their values are never shown, and never go into an argument list."""

from __future__ import annotations

MASK = "***"
_WORDS = {"token", "secret", "password", "passwd", "passphrase", "credential", "credentials"}
_ENDINGS = ("api_key", "apikey", "access_key", "access_key_id", "private_key", "auth_key")


def is_secret_name(name: str) -> bool:
    """Tell whether an option or a variable holds a secret, judging by its name.

    `hf_token`, `VLLM_API_KEY` and `AWS_SECRET_ACCESS_KEY` do; `max_num_batched_tokens` and
    `ssl_keyfile` (a path) do not.
    """
    folded = name.strip().strip("\"'").lower().replace("-", "_").replace(".", "_")
    return folded.endswith(_ENDINGS) or not _WORDS.isdisjoint(folded.split("_"))


def mask_line(line: str) -> str:
    """Mask what is assigned to a secret name in one line of TOML, leaving the columns before it."""
    for start in _equals(line):
        if is_secret_name(_key_before(line, start)):
            return f"{line[: start + 1]} {MASK}"
    return line


def _equals(line: str) -> list[int]:
    return [index for index, character in enumerate(line) if character == "="]


def _key_before(line: str, equals: int) -> str:
    before = line[:equals].rstrip()
    for mark in "{,":
        before = before[before.rfind(mark) + 1 :]
    return before.rsplit(".", 1)[-1]
