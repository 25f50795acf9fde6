"""The guests' network: a bridge with a subnet of its own and NAT.

The host's own interface joins the bridge only when that is asked for: its address moves, which
may end the session of whoever asks, and Wi-Fi cannot join at all.
"""

from __future__ import annotations

import ipaddress
import os

from launcher.errors import HostError
from launcher.hypervisor.host.addresses import host_address
from launcher.hypervisor.host.deeds import write_setting
from launcher.hypervisor.host.links import (
    Route,
    add_bridge,
    change_address,
    delete_link,
    gather_network,
    replace_route,
    require_kind,
    set_state,
)
from launcher.hypervisor.host.nat import (
    AddNat,
    AllowForwarding,
    is_forwarding_refused,
    is_nat_there,
)
from launcher.hypervisor.host.taps import AddPort, plan_tap
from launcher.hypervisor.sysfs import read_line
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.deeds import Deed, Machine
    from launcher.hypervisor.host.links import Link, NetworkFacts
    from launcher.hypervisor.host.model import HostConfig

BRIDGE_KIND = "bridge"
EVERY_LINK = "all"  # in net.ipv4.conf (ip-sysctl)


@record
class AddBridge:
    """A bridge, up. It takes the MAC address of the interface that is to join it, if any."""

    bridge: str
    mac: str = ""

    volatile = True

    def say(self) -> str:
        """Say what is done."""
        return f"create the bridge '{self.bridge}'"

    def perform(self, machine: Machine) -> AddBridge:
        """Create it.

        Raises:
            HostError: the kernel refuses.
        """
        del machine
        add_bridge(self.bridge, self.mac)
        set_state(self.bridge, up=True)
        return self

    def undo(self, machine: Machine) -> str:
        """Delete it, unless somebody else's devices are its ports.

        Raises:
            HostError: they are.
        """
        del machine
        links = gather_network().links
        if self.bridge not in links:
            return ""
        ports = [link.name for link in links.values() if link.master == self.bridge]
        if ports:
            raise HostError(
                f"the bridge '{self.bridge}' has other ports: {', '.join(ports)}",
                f"take them off: ip link set {ports[0]} nomaster",
            )
        delete_link(self.bridge)
        return f"deleted the bridge '{self.bridge}'"


@record
class AddAddress:
    """The host's address on the bridge."""

    link: str
    address: str

    volatile = True

    def say(self) -> str:
        """Say what is done."""
        return f"give '{self.link}' the address {self.address}"

    def perform(self, machine: Machine) -> AddAddress:
        """Add it.

        Raises:
            HostError: the kernel refuses.
        """
        del machine
        change_address("add", self.link, self.address)
        return self

    def undo(self, machine: Machine) -> str:
        """Remove it."""
        del machine
        link = gather_network().links.get(self.link)
        if link is None or self.address not in link.addresses:
            return ""
        change_address("del", self.link, self.address)
        return f"took the address {self.address} from '{self.link}'"


@record
class MoveAddresses:
    """Addresses and routes of an interface go to the bridge that it is a port of."""

    origin: str
    target: str
    addresses: tuple[str, ...]
    routes: tuple[tuple[str, str, int, int], ...]  # to, gateway, metric, protocol

    volatile = True

    def say(self) -> str:
        """Say what is done."""
        what = ", ".join(self.addresses) or "no address"
        return f"move {what} and {len(self.routes)} routes from '{self.origin}' to '{self.target}'"

    def perform(self, machine: Machine) -> MoveAddresses:
        """Move them.

        Raises:
            HostError: the kernel refuses.
        """
        del machine
        self._move(self.origin, self.target)
        return self

    def undo(self, machine: Machine) -> str:
        """Move them back."""
        del machine
        links = gather_network().links
        if self.origin not in links:
            return ""
        if self.target not in links and links[self.origin].addresses:
            return ""  # the bridge is gone, and somebody has mended the interface
        self._move(self.target, self.origin)
        return f"moved the addresses of '{self.target}' back to '{self.origin}'"

    def _move(self, origin: str, target: str) -> None:
        links = gather_network().links
        for address in self.addresses:
            if origin in links and address in links[origin].addresses:
                change_address("del", origin, address)
            if address not in links[target].addresses:
                change_address("add", target, address)
        for to, gateway, metric, protocol in self.routes:
            replace_route(
                Route(to=to, gateway=gateway, interface=target, metric=metric, protocol=protocol)
            )


@record
class Forward:
    """Packets that come in by a device may leave by another one.

    `former` is what the device's setting was, and `everywhere` that of all devices.
    """

    link: str
    former: str = "0"
    everywhere: str = "0"

    volatile = True

    def say(self) -> str:
        """Say what is done."""
        return f"forward packets that come in by '{self.link}'"

    def perform(self, machine: Machine) -> Forward:
        """Turn it on.

        Raises:
            HostError: the kernel refuses.
        """
        write_setting(forwarding_path(machine, self.link), "1")
        return self

    def undo(self, machine: Machine) -> str:
        """Turn it off again, unless somebody (Docker does) has turned it on for all since."""
        path = forwarding_path(machine, self.link)
        if not os.path.exists(path) or read_line(path) != "1" or self.former == "1":
            return ""
        if self.everywhere != "1" and read_line(forwarding_path(machine, EVERY_LINK)) == "1":
            return ""
        write_setting(path, self.former)
        return f"no longer forward packets of '{self.link}'"


def forwarding_path(machine: Machine, link: str) -> str:
    """Return the setting of one device; that of all devices stays as it is (ip-sysctl)."""
    return f"{machine.procfs}/sys/net/ipv4/conf/{link}/forwarding"


def plan_network(
    config: HostConfig, facts: NetworkFacts, machine: Machine, owner: tuple[int, int]
) -> list[Deed]:
    """Plan what is missing of the network.

    Raises:
        HostError: a name or the subnet is taken, or there is no interface to the world.
    """
    network = config.network
    bridge = require_kind(facts, network.bridge_name, BRIDGE_KIND)
    joins = network.join
    interface = network.default_interface or facts.outgoing()
    if network.default_interface and network.default_interface not in facts.links:
        raise HostError(
            f"this host has no interface '{network.default_interface}'",
            "correct VLLMD_HOST_INTERFACE or network.default_interface",
        )
    deeds: list[Deed] = []
    if joins:
        deeds += _plan_join(network.bridge_name, bridge, interface, facts)
    else:
        deeds += _plan_subnet(network.bridge_name, bridge, network.subnet, facts)
        deeds += _plan_nat(network.bridge_name, network.subnet, interface, facts, machine)
    for runtime in config.runtimes:
        if not runtime.guest.net:
            deeds += plan_tap(runtime.tap(), network.bridge_name, facts, owner)
    return deeds


def _plan_subnet(name: str, bridge: Link | None, subnet: str, facts: NetworkFacts) -> list[Deed]:
    address = host_address(subnet)
    wanted = ipaddress.IPv4Network(subnet)
    for link in facts.links.values():
        for other in link.addresses:
            taken = ipaddress.IPv4Interface(other).network
            if link.name != name and taken.overlaps(wanted):
                raise HostError(
                    f"'{link.name}' has the address {other}, which is in the subnet {subnet}",
                    "set network.subnet to one that nobody uses",
                )
    deeds: list[Deed] = [] if bridge else [AddBridge(bridge=name)]
    if bridge is None or address not in bridge.addresses:
        deeds.append(AddAddress(link=name, address=address))
    return deeds


def _plan_nat(
    name: str, subnet: str, interface: str, facts: NetworkFacts, machine: Machine
) -> list[Deed]:
    everywhere = read_line(forwarding_path(machine, EVERY_LINK))
    deeds: list[Deed] = []
    for link in (name, interface):
        former = read_line(forwarding_path(machine, link)) if link in facts.links else "0"
        if link and former != "1":
            deeds.append(Forward(link=link, former=former, everywhere=everywhere))
    if not is_nat_there(name):
        deeds.append(AddNat(bridge=name, subnet=subnet))
    if is_forwarding_refused(name):
        deeds.append(AllowForwarding(bridge=name))
    return deeds


def _plan_join(name: str, bridge: Link | None, interface: str, facts: NetworkFacts) -> list[Deed]:
    if not interface:
        raise HostError(
            "there is no active interface to join the bridge",
            "name one: VLLMD_HOST_INTERFACE or network.default_interface",
        )
    link = facts.links[interface]
    if name in {interface, link.master}:
        return []
    if link.master:
        raise HostError(
            f"'{interface}' is a port of '{link.master}' already", "set network.bridge_name to it"
        )
    deeds: list[Deed] = [] if bridge else [AddBridge(bridge=name, mac=link.mac)]
    routes = tuple(
        (each.to, each.gateway, each.metric, each.protocol)
        for each in facts.routes
        if each.interface == interface
    )
    deeds.append(AddPort(port=interface, bridge=name))
    if link.addresses:
        deeds.append(
            MoveAddresses(origin=interface, target=name, addresses=link.addresses, routes=routes)
        )
    return deeds
