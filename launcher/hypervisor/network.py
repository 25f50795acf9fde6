"""The grammar of VLLMD_HYPERVISOR_NET and VLLMD_HYPERVISOR_PUBLISH."""

from __future__ import annotations

import re

from launcher.hypervisor.memory import Fault
from launcher.hypervisor.model import Network, PublishedPort

USER, TAP, NONE = "user", "tap", "none"
NET_HINT = "write 'user', 'none', or 'tap=NAME' with ',mac=52:54:00:...' behind it if need be"
PUBLISH_HINT = "write [HOST:]HOST_PORT:GUEST_PORT, like 8000:8000"
LONGEST_NAME = 15  # bytes of an interface's name (IFNAMSIZ less its NUL)
MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
TAP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
HOST = "127.0.0.1"
MOST_DIGITS = 5  # of a port
MULTICAST = 0x01  # of a MAC's first byte


def derive_mac(name: str) -> str:
    """Return the address of a guest's network card: always the same for the same name."""
    import hashlib  # noqa: PLC0415  (brings OpenSSL along, and a MAC may be given)

    digest = hashlib.sha256(name.encode()).digest()
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in digest[:3])


def parse_network(text: str, name: str) -> tuple[Network, tuple[Fault, ...]]:
    """Parse a network; an empty text is left to the backend: `kind` is empty then.

    `name` is the guest's, which its MAC address is derived from.
    """
    mac = derive_mac(name)
    text = text.strip()
    if text in {"", USER, NONE}:
        return Network(kind=text, mac="" if text == NONE else mac), ()
    faults: list[Fault] = []
    tap = ""
    for word in text.split(","):
        key, _, value = (part.strip() for part in word.partition("="))
        if key == "tap":
            tap = value
        elif key == "mac":
            mac = value.lower()
        else:
            faults.append(Fault(message=f"'{word}' is no part of a network", hint=NET_HINT))
    if not faults:
        faults += _tap_faults(tap, mac)
    return Network(kind=TAP, tap=tap, mac=mac), tuple(faults)


def _tap_faults(tap: str, mac: str) -> list[Fault]:
    faults = []
    if not TAP_NAME.fullmatch(tap) or len(tap) > LONGEST_NAME:
        faults.append(
            Fault(
                message=f"'{tap}' cannot be the name of a network device",
                hint=f"give a name of 1 to {LONGEST_NAME} letters, digits, '.', '_' or '-'",
            )
        )
    if not MAC.fullmatch(mac) or int(mac[:2], 16) & MULTICAST:
        faults.append(
            Fault(
                message=f"'{mac}' is not the address of a single network card",
                hint="write six bytes like 52:54:00:12:34:56",
            )
        )
    return faults


def parse_publish(words: tuple[str, ...]) -> tuple[tuple[PublishedPort, ...], tuple[Fault, ...]]:
    """Parse the ports to publish; a port of the host can be given away once."""
    ports: list[PublishedPort] = []
    faults: list[Fault] = []
    for word in words:
        port = _parse_port(word)
        if port is None:
            faults.append(Fault(message=f"'{word}' publishes no port", hint=PUBLISH_HINT))
        elif any((port.host, port.host_port) == (each.host, each.host_port) for each in ports):
            faults.append(
                Fault(
                    message=f"the port {port.host}:{port.host_port} is published twice",
                    hint="give each its own port of the host",
                )
            )
        else:
            ports.append(port)
    return tuple(ports), tuple(faults)


def _parse_port(word: str) -> PublishedPort | None:
    rest, _, guest = word.strip().rpartition(":")
    host, _, outer = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or HOST
    ports = [_read_number(outer), _read_number(guest)]
    if not _is_address(host) or not all(0 < port < 1 << 16 for port in ports):
        return None
    return PublishedPort(host=host, host_port=ports[0], guest_port=ports[1])


def _read_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else 0


def _is_address(host: str) -> bool:
    """Tell whether this is an IP address."""
    if host == HOST:
        return True
    import ipaddress  # noqa: PLC0415  (half as long as starting Python, for what is rarely said)

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
