"""Addresses of the bridge and its guests: each follows from the subnet, an index or a name."""

from __future__ import annotations

import hashlib
import ipaddress

from launcher.config.problems import Problem
from launcher.errors import ConfigError
from launcher.hypervisor.model import Addressing

# The host has the first address; what lies between is free for devices of the user's own.
FIRST_GUEST = 10
MAC_PREFIX = "52:54:00"  # locally administered; what KVM guests have by custom


def mac_of(name: str) -> str:
    """Return a guest's MAC address: the same for the same name, on every host."""
    tail = hashlib.sha256(name.encode()).hexdigest()[:6]
    return ":".join((MAC_PREFIX, tail[0:2], tail[2:4], tail[4:6]))


def host_address(subnet: str) -> str:
    """Return the host's address on the bridge, like `10.111.0.1/24`."""
    net = ipaddress.IPv4Network(subnet)
    return f"{net[1]}/{net.prefixlen}"


def guest_address(subnet: str, index: int) -> str:
    """Return the address of the runtime with this index, like `10.111.0.11/24`.

    Raises:
        ConfigError: the subnet is too small for this index.
    """
    net = ipaddress.IPv4Network(subnet)
    number = FIRST_GUEST + index
    if number > net.num_addresses - 2:  # the last one is for broadcasts
        problem = Problem(
            message=f"the subnet '{subnet}' has no address for a runtime with index {index}",
            hint="take a larger subnet in [network], or smaller indices",
            path=("network", "subnet"),
        )
        raise ConfigError((problem,))
    return f"{net[number]}/{net.prefixlen}"


def guest_addressing(subnet: str, index: int, nameservers: tuple[str, ...]) -> Addressing:
    """Return what the runtime with this index is told about the bridge's network.

    Raises:
        ConfigError: the subnet is too small for this index.
    """
    gateway = host_address(subnet).partition("/")[0]
    address = guest_address(subnet, index)
    return Addressing(address=address, gateway=gateway, nameservers=nameservers)
