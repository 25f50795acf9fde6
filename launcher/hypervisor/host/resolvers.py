"""Name servers that the guests can use: those of the host, but for its local ones."""

from __future__ import annotations

import ipaddress

from launcher.hypervisor.sysfs import read_text

# The second is what systemd-resolved forwards to, while the first names only itself.
FILES = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")


def find_nameservers(files: tuple[str, ...] = FILES) -> tuple[str, ...]:
    """Return the addresses in the first of some resolv.conf(5) that has any for others."""
    for file in files:
        found = parse_nameservers(read_text(file))
        if found:
            return found
    return ()


def parse_nameservers(text: str) -> tuple[str, ...]:
    """Return the addresses that are not only for this host: loopback, or on one link."""
    words = [line.split() for line in text.splitlines()]
    texts = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return tuple(dict.fromkeys(text for text in texts if _is_for_others(text)))


def _is_for_others(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)
