"""The guest's network: from the seed disk's network-config, else QEMU's own user network."""

from __future__ import annotations

import json
import os

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import TomlValue

BUSYBOX = "/opt/vllmd/bin/busybox"
LEASE_SCRIPT = "/opt/vllmd/bin/lease"
RESOLVER = "/etc/resolv.conf"
DEVICES = "/sys/class/net"
LOOPBACK = "lo"
# What QEMU's user network gives every guest (its manual, "Network emulation"): to take it without
# asking saves the seconds that DHCP takes.
USER_ADDRESS = "10.0.2.15/24"
USER_GATEWAY = "10.0.2.2"
USER_NAMESERVER = "10.0.2.3"


@record
class NetworkPlan:
    """Commands in their order, and who answers questions of names."""

    commands: tuple[tuple[str, ...], ...]
    nameservers: tuple[str, ...] = ()


def plan_network(network_config: bytes | None, devices: Mapping[str, str]) -> NetworkPlan:
    """Plan what to set up. `devices` are the network devices with their MAC addresses.

    Raises:
        ValueError: the network-config is not one that we write (`vllmd-hypervisor generate-init`).
    """
    up = [_up(LOOPBACK)]
    if not devices:
        return NetworkPlan(commands=tuple(up))
    if network_config is None:
        device = min(devices)
        commands = (*up, _up(device), *_static(device, USER_ADDRESS, USER_GATEWAY))
        return NetworkPlan(commands=commands, nameservers=(USER_NAMESERVER,))
    nameservers: list[str] = []
    for device, settings in _settings(network_config, devices):
        up.append(_up(device))
        if settings.get("dhcp4") is True:
            up.append((BUSYBOX, "udhcpc", "-n", "-t", "5", "-i", device, "-s", LEASE_SCRIPT))
        gateway = _gateway(settings)
        for address in _texts(settings.get("addresses")):
            up += _static(device, address, gateway)
            gateway = ""
        found = settings.get("nameservers")
        nameservers += _texts(found.get("addresses")) if isinstance(found, dict) else []
    return NetworkPlan(commands=tuple(up), nameservers=tuple(nameservers))


def find_devices() -> dict[str, str]:
    """Return the network devices of this machine with their MAC addresses."""
    found = {}
    for name in os.listdir(DEVICES):
        if os.path.exists(f"{DEVICES}/{name}/device"):
            with open(f"{DEVICES}/{name}/address", encoding="ascii") as file:
                found[name] = file.read().strip()
    return found


def set_up(plan: NetworkPlan) -> list[str]:
    """Carry a plan out; return what went wrong, in words."""
    troubles = []
    for words in plan.commands:
        pid = os.posix_spawn(words[0], words, {})
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            troubles.append(f"'{' '.join(words[1:])}' ended with code {code}")
    if plan.nameservers:
        lines = "".join(f"nameserver {each}\n" for each in plan.nameservers)
        try:
            with open(RESOLVER, "w", encoding="ascii") as file:
                file.write(lines)
        except OSError as error:
            troubles.append(f"cannot write {RESOLVER}: {error.strerror}")
    return troubles


def _up(device: str) -> tuple[str, ...]:
    return (BUSYBOX, "ip", "link", "set", device, "up")


def _static(device: str, address: str, gateway: str) -> list[tuple[str, ...]]:
    commands: list[tuple[str, ...]] = [(BUSYBOX, "ip", "address", "add", address, "dev", device)]
    if gateway:
        commands.append((BUSYBOX, "ip", "route", "add", "default", "via", gateway))
    return commands


def _settings(
    network_config: bytes, devices: Mapping[str, str]
) -> list[tuple[str, dict[str, TomlValue]]]:
    """Return the settings of each device that is there, by MAC address, else by name."""
    data = json.loads(network_config)
    ethernets = data.get("ethernets") if isinstance(data, dict) else None
    if not isinstance(ethernets, dict):
        raise ValueError("no network-config of version 2")  # noqa: TRY004  (of the text)
    by_mac = {mac.lower(): name for name, mac in devices.items()}
    found = []
    for name, settings in ethernets.items():
        inner = settings if isinstance(settings, dict) else {}
        match = inner.get("match")
        mac = match.get("macaddress") if isinstance(match, dict) else None
        device = by_mac.get(mac.lower(), "") if isinstance(mac, str) else name
        if device in devices:
            found.append((device, inner))
    return found


def _gateway(settings: Mapping[str, TomlValue]) -> str:
    routes = settings.get("routes")
    for route in routes if isinstance(routes, list) else []:
        if isinstance(route, dict) and route.get("to") in {"default", "0.0.0.0/0"}:
            return str(route.get("via", ""))
    return str(settings.get("gateway4", ""))


def _texts(value: TomlValue) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
