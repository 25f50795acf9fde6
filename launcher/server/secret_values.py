"""Secrets by reference: `env:NAME` and `file:/path` (accepted wherever a name holds a secret)."""

from __future__ import annotations

from launcher.config.reader import Refusal
from launcher.config.secrets import MASK, is_secret_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.server.facts import Facts

ENV = "env:"
FILE = "file:"

# Server options that never become a flag, and the variable by which vLLM reads them instead.
# api_key: vllm/entrypoints/openai/api_server.py; hf_token: huggingface_hub reads HF_TOKEN.
SECRET_OPTIONS = {"api_key": "VLLM_API_KEY", "hf_token": "HF_TOKEN"}


def file_reference(name: str, value: object) -> str | None:
    """Return the path in `file:/path`, where `name` is one that holds a secret."""
    if isinstance(value, str) and value.startswith(FILE) and is_secret_name(name):
        return value.removeprefix(FILE)
    return None


def resolve(name: str, value: str, facts: Facts) -> str:
    """Return the secret itself; a value that is no reference is the secret.

    Raises:
        Refusal: the variable is not set, the file cannot be read or is empty, or no program can
            be given such a value.
    """
    if not is_secret_name(name):
        return value
    if "\0" in value:
        raise Refusal("a NUL character cannot be passed to a program", "remove the NUL character")
    if facts.elsewhere and value.startswith((ENV, FILE)):
        return MASK  # the secret is on the other machine, and nothing is started here
    if value.startswith(ENV):
        source = value.removeprefix(ENV)
        if not source:
            raise Refusal("'env:' names no variable", 'write it like "env:NAME"')
        secret = facts.environ.get(source, "")
        if not secret:
            raise Refusal(f"the variable '{source}' is not set", f"export {source}=...")
        return secret
    path = file_reference(name, value)
    if path is None:
        return value
    if not path:
        raise Refusal("'file:' names no file", 'write it like "file:/run/secrets/key"')
    fault = facts.secret_faults.get(path)
    if fault:
        raise Refusal(f"the file '{path}' {fault}", "mount the secret there, readable for us")
    return facts.secrets[path]
