"""Whom to talk to. Values only."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from launcher.errors import UsageError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Where a key is looked for when the configuration has none.
KEY_VARIABLES = ("VLLM_API_KEY", "OPENAI_API_KEY")
SCHEMES = ("http://", "https://", "unix:")
LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")


@record
class Target:
    """A server: `url` without `/v1` at its end, and what is needed to be let in.

    `certificate` is a file: the server proves itself by that very certificate, whatever name is
    in it. `local` servers are reached without a proxy.
    """

    url: str
    name: str = ""  # of the instance; empty for a bare address
    socket_path: str = ""
    api_key: str = ""
    model: str = ""  # empty: whatever the server lists first
    certificate: str = ""
    local: bool = False

    def __repr__(self) -> str:
        """Show no key."""
        return f"Target({self.shown()})"

    def shown(self) -> str:
        """Return the address as a person writes it."""
        return f"unix:{self.socket_path}" if self.socket_path else self.url


def is_address(word: str) -> bool:
    """Tell whether a word is an address, and not the name of an instance."""
    return word.startswith(SCHEMES)


def parse_address(text: str) -> Target:
    """Return the server at `http://...`, `https://...` (with or without /v1) or `unix:/path`.

    Raises:
        UsageError: it is none of these.
    """
    if text.startswith("unix:/"):
        return Target(url="http://localhost", socket_path=text.removeprefix("unix:"), local=True)
    hint = "write it like http://127.0.0.1:8000 or unix:/run/vllm.sock"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise UsageError(f"'{text}' is not an address of a server", hint) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise UsageError(f"'{text}' is not an address of a server", hint)
    if parts.username is not None or parts.password is not None:
        action = f"put the key into {KEY_VARIABLES[0]}, and leave it out of the address"
        raise UsageError("an address with a password in it would show it to everybody", action)
    path = parts.path.rstrip("/").removesuffix("/v1")
    url = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    return Target(url=url, local=parts.hostname in LOCAL_HOSTS)


def find_key(environ: Mapping[str, str]) -> str:
    """Return the key in the environment; empty without one."""
    return next((environ[name] for name in KEY_VARIABLES if environ.get(name)), "")
