"""Addresses on the bridge: each follows from the subnet and a runtime's index. Pure."""

from __future__ import annotations

import ipaddress

from launcher.hypervisor.model import Addressing

# The host has the first address; what lies between is free for devices of the user's own.
FIRST_GUEST = 10


def host_address(subnet: str) -> str:
    """Return the host's address on the bridge, like `10.111.0.1/24`."""
    net = ipaddress.IPv4Network(subnet)
    return f"{net[1]}/{net.prefixlen}"


def guest_addressing(subnet: str, index: int, nameservers: tuple[str, ...]) -> Addressing:
    """Return what the runtime with this index is told; reading has checked that it fits in."""
    net = ipaddress.IPv4Network(subnet)
    return Addressing(
        address=f"{net[FIRST_GUEST + index]}/{net.prefixlen}",
        gateway=str(net[1]),
        nameservers=nameservers,
    )
