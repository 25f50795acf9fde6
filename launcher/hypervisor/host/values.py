"""Checks of the values in the host's file: each takes a TOML value, or refuses it with a hint."""

from __future__ import annotations

import ipaddress
import re

from launcher.config.problems import type_name
from launcher.config.reader import Refusal, string
from launcher.hypervisor.memory import parse_memory
from launcher.hypervisor.network import parse_network, parse_publish
from launcher.hypervisor.pci import parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.config.problems import TomlValue

MOST_GB = 65536  # 64 TiB: what an x86 guest with 46 bits of addresses can have
MOST_CPUS = 8192  # KVM's limit on x86
MOST_INDEX = 999_999  # the name of its tap device has 15 bytes
LONGEST_NAME = 63  # bytes of a host name
LONGEST_INTERFACE = 15  # bytes: IFNAMSIZ less its NUL
NAME = re.compile(r"[A-Za-z0-9_-]+")
# Folders beside those of the runtimes, in the state directory.
RESERVED_NAMES = {"guest": "what 'image build' makes", "images": "base images"}
# What the kernel takes as the name of an interface (dev_valid_name), less what needs quoting.
INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")
SETTINGS_OF_ALL = ("all", "default")  # in net.ipv4.conf: the kernel lets no interface be named so
USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*[$]?|[0-9]+")
# RFC 1918: loopback, link-local and test networks are private for Python, and no use here.
PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
PREFIXES = range(16, 29)  # of the bridge's subnet: from 65,534 addresses to 14


def user_name(value: TomlValue) -> str:
    """Take the name or the number of a user.

    Raises:
        Refusal: it can be neither.
    """
    text = string(value)
    if not USER.fullmatch(text):
        raise Refusal(f"'{text}' cannot be a user name", "write a name like vllmd, or a number")
    return text


def group_name(text: str) -> str:
    """Take the name or the number of a group.

    Raises:
        Refusal: it can be neither.
    """
    if not USER.fullmatch(text):
        raise Refusal(
            f"'{text}' cannot be the name of a group", "write a name like kvm, or a number"
        )
    return text


def plain_text(value: TomlValue) -> str:
    """Take a text of one line.

    Raises:
        Refusal: a control character is in it.
    """
    text = string(value)
    if not text.isprintable():
        raise Refusal("a line break or another control character is in it", "remove it")
    return text


def runtime_name(value: TomlValue) -> str:
    """Take the name of a runtime: folders, units and host names are made of it.

    Raises:
        Refusal: another character than letters, digits, '_' and '-', or too long.
    """
    text = string(value)
    if not NAME.fullmatch(text):
        raise Refusal(f"'{text}' cannot be the name of a runtime", "use letters, digits, _ and -")
    if len(text) > LONGEST_NAME:
        message = f"expected a name of at most {LONGEST_NAME} characters, got {len(text)}"
        raise Refusal(message, "shorten it")
    if text in RESERVED_NAMES:
        message = f"the folder '{text}' of the state directory is for {RESERVED_NAMES[text]}"
        raise Refusal(message, "take another name")
    return text


def interface_name(value: TomlValue) -> str:
    """Take the name of a network interface: at most 15 bytes.

    Raises:
        Refusal: the kernel has no interface of such a name.
    """
    text = string(value)
    if not INTERFACE.fullmatch(text) or text in SETTINGS_OF_ALL:
        message = f"'{text}' cannot be the name of a network interface"
        raise Refusal(message, "use letters, digits, '.', '_' and '-', like vllmd-br0")
    if len(text) > LONGEST_INTERFACE:
        message = f"expected a name of at most {LONGEST_INTERFACE} bytes, got {len(text)}"
        raise Refusal(message, "shorten it")
    return text


def pci_addresses(value: TomlValue) -> tuple[str, ...]:
    """Take PCI addresses in full, each once; small letters come back.

    Raises:
        Refusal: one is not an address, has no domain, or is there twice.
    """
    found: list[str] = []
    for position, text in enumerate(_strings(value)):
        try:
            address = parse_address(text)
        except Refusal as refusal:
            raise Refusal(refusal.message, refusal.hint, at=(position,)) from None
        if text.strip().lower() != address:
            message = f"expected a PCI address in full, got '{text}'"
            raise Refusal(message, f"write {address}", at=(position,))
        if address in found:
            raise Refusal(f"'{text}' is there twice", "name each once", at=(position,))
        found.append(address)
    return tuple(found)


def subnet(value: TomlValue) -> str:
    """Take an IPv4 network of a private range, as the bridge's own.

    Raises:
        Refusal: not a network, not private, or too large or small.
    """
    text = string(value)
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        hint = "write it like 10.111.0.0/24, with zeros behind the prefix"
        raise Refusal(f"'{text}' is no IPv4 network", hint) from None
    if not any(map(network.subnet_of, PRIVATE)) or network.prefixlen not in PREFIXES:
        wanted = f"a private network, /{PREFIXES[0]} to /{PREFIXES[-1]}"
        raise Refusal(f"expected {wanted}, got '{text}'", "write it like 10.111.0.0/24")
    return text


def strings(value: TomlValue) -> tuple[str, ...]:
    """Take strings that are not empty.

    Raises:
        Refusal: anything else.
    """
    return _strings(value)


def memory(value: TomlValue) -> str:
    """Take a text in the grammar of Cloud Hypervisor's --memory.

    Raises:
        Refusal: something in it is wrong.
    """
    text = string(value)
    for fault in parse_memory(text)[1]:
        raise Refusal(fault.message, fault.hint)
    return text


def net(value: TomlValue) -> str:
    """Take a text in the grammar of VLLMD_HYPERVISOR_NET.

    Raises:
        Refusal: something in it is wrong.
    """
    text = string(value)
    for fault in parse_network(text, "")[1]:
        raise Refusal(fault.message, fault.hint)
    return text


def publish(value: TomlValue) -> tuple[str, ...]:
    """Take ports to publish.

    Raises:
        Refusal: one of them is none.
    """
    words = _strings(value)
    for fault in parse_publish(words)[1]:
        raise Refusal(fault.message, fault.hint)
    return words


def _strings(value: TomlValue) -> tuple[str, ...]:
    if not isinstance(value, list):
        hint = "put it in brackets" if isinstance(value, str) else ""
        raise Refusal(f"expected an array of strings, got {type_name(value)}", hint)
    return tuple(_inner(string, each, position) for position, each in enumerate(value))


def _inner(check: Callable[[TomlValue], str], value: TomlValue, position: int) -> str:
    try:
        return check(value)
    except Refusal as refusal:
        raise Refusal(refusal.message, refusal.hint, at=(position,)) from None
