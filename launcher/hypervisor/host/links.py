"""Network devices of this network namespace, over netlink (pyroute2), and taps by their ioctls.

Not from `/sys/class/net`: in a new network namespace it still shows the old one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from pyroute2 import IPRoute  # type: ignore[import-untyped]
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

from launcher.errors import HostError
from launcher.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator

TUN = "/dev/net/tun"
# linux/if_tun.h
TUNSETIFF, TUNSETPERSIST, TUNSETOWNER, TUNSETGROUP = 0x400454CA, 0x400454CB, 0x400454CC, 0x400454CE
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
IFREQ = "16sH22x"
IFF_UP, IFF_LOWER_UP = 0x1, 0x10000  # linux/if.h
MAIN_TABLE = 254
EVERYWHERE = "0.0.0.0/0"
LOOPBACK = "lo"
UNICAST = 1  # RTN_UNICAST of linux/rtnetlink.h


@record
class Link:
    """One network device. `master` is the name of the bridge it is a port of, or empty."""

    index: int
    name: str
    kind: str  # "bridge", "tun", ...; empty for a physical one
    mac: str
    master: str = ""
    up: bool = False
    carrier: bool = False  # of a tap: somebody has it open
    owner: int | None = None  # of a tap: the user that may open it; None: only root
    addresses: tuple[str, ...] = ()  # IPv4, with the length of the prefix

    @property
    def is_physical(self) -> bool:
        """Tell whether a device is behind it, and not only software."""
        return not self.kind and self.name != LOOPBACK


@record
class Route:
    """An IPv4 route of the main table that leads through a gateway."""

    to: str  # a network; EVERYWHERE for the default route
    gateway: str
    interface: str
    metric: int = 0
    protocol: int = 0  # who has made it: the kernel, DHCP, an administrator, ...


@record
class NetworkFacts:
    """All devices by name, and the routes through gateways."""

    links: dict[str, Link]
    routes: tuple[Route, ...] = ()

    def outgoing(self) -> str:
        """Return the first active interface; empty where there is none.

        That is the one of the default route with the lowest metric, else the first physical one
        that is up.
        """
        defaults = [route for route in self.routes if route.to == EVERYWHERE]
        best = min(defaults, key=lambda route: route.metric, default=None)
        if best is not None:
            return best.interface
        active = (link.name for link in self.links.values() if link.is_physical and link.carrier)
        return next(active, "")


def gather_network() -> NetworkFacts:
    """Look at the network."""
    with IPRoute() as netlink:
        raw = list(netlink.get_links())
        names = {each["index"]: each.get("ifname") for each in raw}
        found: dict[int, list[str]] = {}
        for each in netlink.get_addr(family=socket.AF_INET):
            text = f"{each.get('address')}/{each['prefixlen']}"
            found.setdefault(each["index"], []).append(text)
        links = [_link(each, names, found.get(each["index"], [])) for each in raw]
        routes = [_route(each, names) for each in netlink.get_routes(family=socket.AF_INET)]
    return NetworkFacts(
        links={link.name: link for link in links},
        routes=tuple(route for route in routes if route is not None),
    )


def require_kind(facts: NetworkFacts, name: str, kind: str) -> Link | None:
    """Return a device, or None; what has its name has to be of its kind.

    Raises:
        HostError: it is something else.
    """
    link = facts.links.get(name)
    if link is not None and link.kind != kind:
        raise HostError(
            f"this host has an interface '{name}' already, and it is no {kind}",
            "take another name, or rename the interface",
        )
    return link


def _link(raw: Any, names: dict[int, str], addresses: list[str]) -> Link:  # noqa: ANN401
    flags = raw["flags"]
    return Link(
        index=raw["index"],
        name=raw.get("ifname"),
        kind=raw.get(("linkinfo", "kind")) or "",
        mac=raw.get("address") or "",
        master=names.get(raw.get("master"), ""),
        up=bool(flags & IFF_UP),
        carrier=bool(flags & IFF_LOWER_UP),
        addresses=tuple(addresses),
        owner=raw.get(("linkinfo", "data", "tun_owner")),
    )


def _route(raw: Any, names: dict[int, str]) -> Route | None:  # noqa: ANN401
    gateway = raw.get("gateway")
    if not gateway or raw.get("table") != MAIN_TABLE or raw.get("type") != UNICAST:
        return None
    return Route(
        to=f"{raw['dst']}/{raw['dst_len']}" if raw.get("dst") else EVERYWHERE,
        gateway=gateway,
        interface=names.get(raw.get("oif"), ""),
        metric=raw.get("priority") or 0,
        protocol=raw["proto"],
    )


@contextlib.contextmanager
def _changing(what: str) -> Iterator[Any]:
    """Open netlink to change something; `what` is said where the kernel refuses."""
    try:
        with IPRoute() as netlink:
            yield netlink
    except NetlinkError as error:
        reason = os.strerror(error.code).lower()
        hint = "run it as root" if error.code == errno.EPERM else ""
        raise HostError(f"{what}: {reason}", hint) from None


def _index(netlink: Any, name: str) -> int:  # noqa: ANN401
    found: list[int] = netlink.link_lookup(ifname=name)
    if not found:
        raise NetlinkError(errno.ENODEV, "no such device")
    return found[0]


def add_bridge(name: str, mac: str = "") -> None:
    """Create a bridge, down; with a MAC address of its own or a random one.

    Raises:
        HostError: the kernel refuses.
    """
    with _changing(f"the bridge '{name}' cannot be created") as netlink:
        netlink.link("add", ifname=name, kind="bridge", **({"address": mac} if mac else {}))


def delete_link(name: str) -> None:
    """Delete a device that was created.

    Raises:
        HostError: the kernel refuses.
    """
    with _changing(f"'{name}' cannot be deleted") as netlink:
        netlink.link("del", index=_index(netlink, name))


def set_state(name: str, *, up: bool) -> None:
    """Bring a device up or down.

    Raises:
        HostError: the kernel refuses.
    """
    state = "up" if up else "down"
    with _changing(f"'{name}' cannot be brought {state}") as netlink:
        netlink.link("set", index=_index(netlink, name), state=state)


def set_master(name: str, bridge: str) -> None:
    """Make a device a port of a bridge; of none where the bridge's name is empty.

    Raises:
        HostError: the kernel refuses.
    """
    with _changing(f"'{name}' cannot become a port of '{bridge}'") as netlink:
        master = _index(netlink, bridge) if bridge else 0
        netlink.link("set", index=_index(netlink, name), master=master)


def change_address(deed: str, name: str, address: str) -> None:
    """Add ("add") or delete ("del") an IPv4 address with its prefix length.

    Raises:
        HostError: the kernel refuses.
    """
    interface = ipaddress.IPv4Interface(address)
    with _changing(f"the address {address} of '{name}'") as netlink:
        netlink.addr(
            deed,
            index=_index(netlink, name),
            address=str(interface.ip),
            prefixlen=interface.network.prefixlen,
            **({"broadcast": str(interface.network.broadcast_address)} if deed == "add" else {}),
        )


def replace_route(route: Route) -> None:
    """Add a route, or put it in the place of the one there was.

    Raises:
        HostError: the kernel refuses.
    """
    with _changing(f"the route to {route.to}") as netlink:
        netlink.route(
            "replace",
            dst=route.to,
            gateway=route.gateway,
            oif=_index(netlink, route.interface),
            proto=route.protocol,
            **({"priority": route.metric} if route.metric else {}),
        )


def add_tap(name: str, uid: int, gid: int) -> None:
    """Create a tap that stays, and that this user may open.

    Raises:
        HostError: the kernel refuses.
    """
    request = struct.pack(IFREQ, name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
    try:
        with open(TUN, "r+b", buffering=0) as tun:
            fcntl.ioctl(tun, TUNSETIFF, request)
            fcntl.ioctl(tun, TUNSETOWNER, uid)
            fcntl.ioctl(tun, TUNSETGROUP, gid)
            fcntl.ioctl(tun, TUNSETPERSIST, 1)
    except OSError as error:
        hint = "run it as root" if error.errno == errno.EPERM else "load the module: modprobe tun"
        reason = (error.strerror or "").lower()
        raise HostError(f"the tap '{name}' cannot be created: {reason}", hint) from None
