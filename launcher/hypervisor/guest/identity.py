"""Who a guest is: its names, who may log in, and its network. Values only."""

from __future__ import annotations

import base64
import binascii
import re

from launcher.config.reader import Refusal
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.model import Addressing

# login(1) and useradd(8) of Debian and Ubuntu take these.
USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
HOST_NAME_LIMIT = 63  # RFC 1123, of one label
KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


@record
class Identity:
    """One guest, as its first boot needs to know it. `addressing` is None for no network."""

    name: str
    user: str
    mac: str
    ssh_keys: tuple[str, ...] = ()
    addressing: Addressing | None = None


def host_name_of(name: str) -> str:
    """Return a host name for a runtime's name: letters, digits and inner hyphens (RFC 1123)."""
    plain = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:HOST_NAME_LIMIT].rstrip("-")
    return plain or "vllmd"


def parse_user_name(text: str) -> str:
    """Parse the name of a user that a Linux guest can create.

    Raises:
        Refusal: it cannot.
    """
    if not USER_NAME.fullmatch(text):
        raise Refusal(
            f"'{text}' is no name of a user in a guest",
            "write lower-case letters, digits, '-' and '_'",
        )
    return text


def parse_public_keys(text: str) -> tuple[str, ...]:
    """Return the public keys of a file, one a line; comments and empty lines are left out.

    Raises:
        Refusal: the file holds a private key, something else, or nothing.
    """
    if "PRIVATE KEY" in text:
        raise Refusal("this is a private key", "name the public one, which ends in .pub")
    lines = [line.strip() for line in text.split("\n")]
    keys = tuple(_read_key(line) for line in lines if line and not line.startswith("#"))
    if not keys:
        raise Refusal("there is no key in this file", "make one by 'ssh-keygen -t ed25519'")
    return keys


def _read_key(line: str) -> str:
    kind, _, rest = line.partition(" ")
    data, _, comment = rest.strip().partition(" ")
    if kind not in KEY_TYPES or not _is_key_data(kind, data):
        raise Refusal("this is no public key of SSH", "name a file like $HOME/.ssh/id_ed25519.pub")
    # The comment goes into YAML: plain characters only.
    comment = re.sub("[^ -~]", "", comment).strip()
    return f"{kind} {data} {comment}".rstrip()


def _is_key_data(kind: str, data: str) -> bool:
    """Tell whether the key's data begins with the length and the name of its kind (RFC 4253)."""
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return raw.startswith(len(kind).to_bytes(4, "big") + kind.encode())
