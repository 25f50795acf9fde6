"""The bridge, the interface to the world, and the taps of the runtimes."""

from __future__ import annotations

from launcher.hypervisor.host.findings import FAIL, OK, SKIP, WARN, Finding
from launcher.hypervisor.host.interfaces import (
    bridge_of,
    find_first_interface,
    is_bridge,
    is_present,
    is_up,
    is_wireless,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.checks.survey import Survey

BRIDGE_WHY = "guests reach each other, the host and the world through it"
INTERFACE_WHY = "guests reach the world through it"
TAP_WHY = "a guest needs a network device of its own, made by root beforehand"
SKIPPED = "VLLMD_DISABLE_NETWORK says so"


def check_bridge(survey: Survey) -> Finding:
    """Look for the bridge."""
    bridge, root = survey.config.network.bridge_name, survey.machine.root
    name = f"bridge {bridge}"
    if survey.settings.skip_network:
        return Finding(name=name, status=SKIP, seen=SKIPPED, why=BRIDGE_WHY)
    if not is_present(bridge, root):
        seen = "it is not there yet"
        return Finding(name=name, status=WARN, seen=seen, why=BRIDGE_WHY, mend=survey.prepare())
    if not is_bridge(bridge, root):
        mend = "export VLLMD_BRIDGE_NAME=vllmd-br1  # another name"
        seen = "an interface of this name is there, and is no bridge"
        return Finding(name=name, status=FAIL, seen=seen, why=BRIDGE_WHY, mend=mend)
    ports = survey.names(f"/sys/class/net/{bridge}/brif")
    seen = f"there, with {', '.join(ports) or 'no ports'}"
    return Finding(name=name, status=OK, seen=seen, why=BRIDGE_WHY)


def check_interface(survey: Survey) -> Finding:
    """Look for the interface to the world: the configured one, or the first active one."""
    root, network = survey.machine.root, survey.config.network
    if survey.settings.skip_network:
        return Finding(name="interface", status=SKIP, seen=SKIPPED, why=INTERFACE_WHY)
    interface = network.default_interface or find_first_interface(root)
    if not interface:
        mend = "export VLLMD_HOST_INTERFACE=eth0  # one that 'ip -brief link' shows"
        seen = "no interface is active"
        return Finding(name="interface", status=WARN, seen=seen, why=INTERFACE_WHY, mend=mend)
    name = f"interface {interface}"
    if not is_present(interface, root):
        others = ", ".join(each for each in survey.names("/sys/class/net") if each != "lo")
        mend = "export VLLMD_HOST_INTERFACE=NAME  # one of those"
        seen = f"there is no such interface; there are {others or 'none'}"
        return Finding(name=name, status=FAIL, seen=seen, why=INTERFACE_WHY, mend=mend)
    if network.join and is_wireless(interface, root):
        mend = f"${{EDITOR:-vi}} {survey.config.path}  # join = false, for NAT"
        seen = "a wireless interface cannot be a port of a bridge"
        return Finding(name=name, status=FAIL, seen=seen, why=INTERFACE_WHY, mend=mend)
    if not is_up(interface, root):
        mend = f"sudo ip link set {interface} up"
        return Finding(name=name, status=WARN, seen="down", why=INTERFACE_WHY, mend=mend)
    chosen = "" if network.default_interface else ", the first active one"
    joined = bridge_of(interface, root)
    seen = f"up{chosen}" + (f", a port of {joined}" if joined else "")
    return Finding(name=name, status=OK, seen=seen, why=INTERFACE_WHY)


def check_taps(survey: Survey) -> Finding:
    """Look for the network device of each runtime."""
    runtimes = survey.config.runtimes
    wanted = [r.tap() for r in runtimes if r.guest.net in {"", f"tap={r.tap()}"}]
    if survey.settings.skip_network or not wanted:
        seen = SKIPPED if survey.settings.skip_network else "no runtime needs one"
        return Finding(name="taps", status=SKIP, seen=seen, why=TAP_WHY)
    missing = [tap for tap in wanted if not is_present(tap, survey.machine.root)]
    if missing:
        seen = f"not there yet: {', '.join(missing)}"
        return Finding(name="taps", status=WARN, seen=seen, why=TAP_WHY, mend=survey.prepare())
    return Finding(name="taps", status=OK, seen=", ".join(wanted), why=TAP_WHY)
