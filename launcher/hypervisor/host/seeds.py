"""What each runtime's seed disk says, from the host's file and variables."""

from __future__ import annotations

import os

from launcher.config.problems import Origin, Problem
from launcher.config.reader import Refusal
from launcher.errors import ConfigError
from launcher.hypervisor.environment import EnvironmentReader
from launcher.hypervisor.guest.identity import Identity, parse_public_keys, parse_user_name
from launcher.hypervisor.host.addresses import guest_addressing
from launcher.hypervisor.host.units import net_text
from launcher.hypervisor.model import Addressing
from launcher.hypervisor.network import TAP, parse_network
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from launcher.hypervisor.host.loading import Host
    from launcher.hypervisor.host.model import Runtime

    T = TypeVar("T")

KEY_VARIABLE, USER_VARIABLE = "VLLMD_SSH_KEY_PATH", "VLLMD_CLOUD_INIT_USER"
# Looked for beside the default where nobody named a key.
OTHER_KEYS = ("id_ed25519.pub", "id_ecdsa.pub")
# What QEMU's user network gives its only guest (QEMU manual, "Using the user mode network stack").
QEMU_USER = Addressing(
    address="10.0.2.15/24", gateway="10.0.2.2", nameservers=("10.0.2.3",)
)  # fmt: skip


@record
class Access:
    """Who may log in to the guests, and the file of their keys; empty: there is none."""

    user: str
    ssh_keys: tuple[str, ...]
    key_path: str


def read_access(host: Host) -> Access:
    """Read the user and the public keys.

    Raises:
        ConfigError: the name or the file of keys is wrong.
    """
    path, named = _find_key(host)
    user = _taken(USER_VARIABLE, lambda: parse_user_name(host.settings.cloud_init_user))
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as error:
        if not named:
            return Access(user=user, ssh_keys=(), key_path="")
        reason = (error.strerror or str(error)).lower()
        problem = _problem(KEY_VARIABLE, f"'{path}' cannot be read: {reason}", "correct the path")
        raise ConfigError((problem,)) from None
    keys = _taken(KEY_VARIABLE, lambda: parse_public_keys(text), f"'{path}': ")
    return Access(user=user, ssh_keys=keys, key_path=path)


def _find_key(host: Host) -> tuple[str, bool]:
    """Return the file of public keys, and whether somebody named it."""
    path = host.settings.ssh_key_path
    reader = EnvironmentReader(host.environ)
    named = reader.given(KEY_VARIABLE) and path != reader.default_path(KEY_VARIABLE)
    if named or os.path.exists(path):
        return path, named
    folder = os.path.dirname(path)
    others = [f"{folder}/{name}" for name in OTHER_KEYS]
    return next((other for other in others if os.path.exists(other)), path), False


def plan_identity(
    host: Host, runtime: Runtime, access: Access, nameservers: tuple[str, ...]
) -> Identity:
    """Return who a guest is."""
    text = net_text(runtime, with_network=not host.settings.skip_network)
    network, _ = parse_network(text, runtime.name)
    return Identity(
        name=runtime.name,
        user=access.user,
        mac=network.mac,
        ssh_keys=access.ssh_keys,
        addressing=_addressing(host, runtime, network.kind, network.tap, nameservers),
    )


def _addressing(
    host: Host, runtime: Runtime, kind: str, tap: str, nameservers: tuple[str, ...]
) -> Addressing | None:
    if kind == "none":
        return None
    if kind != TAP:
        return QEMU_USER
    network = host.config.network
    if network.join or tap != runtime.tap():
        return Addressing()  # somebody else's network: there is a DHCP server, or there is not
    return guest_addressing(network.subnet, runtime.index, nameservers)


def _taken(variable: str, parse: Callable[[], T], before: str = "") -> T:
    try:
        return parse()
    except Refusal as refusal:
        problem = _problem(variable, before + refusal.message, refusal.hint)
        raise ConfigError((problem,)) from None


def _problem(variable: str, message: str, hint: str) -> Problem:
    origin = Origin(kind="environment", name=variable)
    return Problem(message=message, hint=hint, origin=origin)
