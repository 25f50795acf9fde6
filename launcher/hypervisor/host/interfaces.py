"""Network interfaces as the kernel shows them: which leads to the world, which are bridges.

`root` is the folder below which `/sys` and `/proc` are; empty for this machine.
"""

from __future__ import annotations

import os

from launcher.hypervisor.sysfs import list_names, read_integer, read_line, read_text

UP, GATEWAY = 0x1, 0x2  # flags of a route (linux/route.h)
ROUTE_FIELDS = 8
IFF_UP = 0x1
# Names of what other programs make: no way to the world, even if a device is behind it.
VIRTUAL_PREFIXES = ("lo", "docker", "virbr", "veth", "vnet", "tap", "tun", "br-", "cni", "vllmd-")


def find_first_interface(root: str = "") -> str:
    """Return the first active interface; empty where there is none.

    That is the one of the default route with the lowest metric, else the first one with a device
    behind it that is up.
    """
    routed = _find_routed(read_text(f"{root}/proc/net/route"))
    if routed:
        return routed
    for name in list_names(f"{root}/sys/class/net"):
        if not name.startswith(VIRTUAL_PREFIXES) and is_device(name, root) and is_up(name, root):
            return name
    return ""


def _find_routed(table: str) -> str:
    """Return the interface of the best default route in the text of `/proc/net/route`."""
    best: tuple[int, str] | None = None
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < ROUTE_FIELDS:
            continue
        name, destination, _, flags, _, _, metric, mask = fields[:ROUTE_FIELDS]
        try:
            ways = int(flags, 16)
            is_default = int(destination, 16) == int(mask, 16) == 0
            route = (int(metric), name)
        except ValueError:
            continue  # no row of this table
        if is_default and ways & UP and ways & GATEWAY:
            best = min(best or route, route)
    return best[1] if best else ""


def is_present(name: str, root: str = "") -> bool:
    """Tell whether there is such an interface."""
    return os.path.isdir(f"{root}/sys/class/net/{name}")


def is_bridge(name: str, root: str = "") -> bool:
    """Tell whether an interface is a bridge."""
    return os.path.isdir(f"{root}/sys/class/net/{name}/bridge")


def is_wireless(name: str, root: str = "") -> bool:
    """Tell whether an interface is a wireless one, which cannot be a port of a bridge."""
    return os.path.isdir(f"{root}/sys/class/net/{name}/wireless")


def is_device(name: str, root: str = "") -> bool:
    """Tell whether a device is behind an interface, and not only software."""
    return os.path.exists(f"{root}/sys/class/net/{name}/device")


def is_up(name: str, root: str = "") -> bool:
    """Tell whether an interface works. Some drivers never say: their flags count then."""
    state = read_line(f"{root}/sys/class/net/{name}/operstate")
    flags = read_integer(f"{root}/sys/class/net/{name}/flags") or 0
    return state == "up" or (state == "unknown" and bool(flags & IFF_UP))


def bridge_of(name: str, root: str = "") -> str:
    """Return the bridge that an interface is a port of; empty where it is of none."""
    link = f"{root}/sys/class/net/{name}/master"
    return os.path.basename(os.path.realpath(link)) if os.path.islink(link) else ""
