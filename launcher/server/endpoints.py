"""Where the launcher itself is reached: `[master] listen` and `control_socket`. Pure."""

from __future__ import annotations

from launcher.config.problems import type_name
from launcher.config.reader import Refusal, path_name
from launcher.server.address import (
    EVERY_INTERFACE,
    IPV4_PARTS,
    LARGEST_BYTE,
    LONG,
    MAX_PORT,
    Address,
    server_address,
    socket_path_fault,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import TomlValue
    from launcher.config.reader import Problems
    from launcher.server.model import Instance, MasterConfig

_HINT = 'write it like "127.0.0.1:9180"; "0.0.0.0:9180" for every interface'


def read_listen(value: TomlValue) -> tuple[str, int]:
    """Take `HOST:PORT` with a literal address, so that no name server can hold us up.

    Raises:
        Refusal: anything else.
    """
    if not isinstance(value, str):
        raise Refusal(f"expected HOST:PORT, got {type_name(value)}", _HINT)
    host, colon, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise Refusal(f"expected HOST:PORT, got '{value}'", 'write IPv6 like "[::1]:9180"')
    if host == "localhost":
        host = "127.0.0.1"
    if not colon or not _is_address(host):
        raise Refusal(f"expected HOST:PORT with the number of an address, got '{value}'", _HINT)
    if not (_is_number(port, MAX_PORT) and int(port)):
        raise Refusal(f"expected a port, 1 to {MAX_PORT}, got '{port}'", _HINT)
    return host, int(port)


def read_socket_path(value: TomlValue) -> str:
    """Take the absolute path of a UNIX socket, which the kernel limits to 107 bytes.

    Raises:
        Refusal: anything else.
    """
    path = path_name(value)
    fault = socket_path_fault(path)
    if fault is not None:
        raise Refusal(*fault)
    return path


def check_endpoints(
    master: MasterConfig, instances: tuple[Instance, ...], problems: Problems
) -> None:
    """Refuse an address or a socket of the launcher that an instance has too."""
    for instance in instances:
        theirs = server_address(instance)
        if master.listen is not None:
            mine = Address(host=master.listen[0], port=master.listen[1])
            if not theirs.socket_path and mine.port == theirs.port and _meet(mine, theirs):
                message = f"'{instance.name}' listens on {theirs.shown()} too"
                problems.add(("master", "listen"), message, "give the launcher another port")
        if master.control_socket and master.control_socket == theirs.socket_path:
            message = f"'{instance.name}' has this socket as its uds"
            problems.add(("master", "control_socket"), message, "give the launcher another path")


def _meet(one: Address, other: Address) -> bool:
    interfaces = {one.interface(), other.interface()}
    return len(interfaces) == 1 or EVERY_INTERFACE in interfaces


def _is_address(host: str) -> bool:
    if ":" in host:
        return all(c in "0123456789abcdefABCDEF:." for c in host)
    parts = host.split(".")
    return len(parts) == IPV4_PARTS and all(_is_number(part, LARGEST_BYTE) for part in parts)


def _is_number(text: str, most: int) -> bool:
    """Tell whether a text is a number, and not above `most`."""
    digits = text.isascii() and text.isdigit() and len(text) < LONG
    return digits and int(text) <= most
