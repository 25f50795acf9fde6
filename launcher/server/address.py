"""Where a server will listen, as vLLM will understand its options."""

from __future__ import annotations

from launcher.process.spec import Probe
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import TomlValue
    from launcher.server.model import Instance

# vllm/entrypoints/launchers/cli_args.py: host None means every interface, port 8000.
DEFAULT_PORT = 8000
MAX_PORT = 65535
LONG = 10  # digits of a number that cannot be meant (Python itself refuses 4300)
EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  (what the user's file may say, not what we bind)
EVERY_INTERFACE = ""
LONGEST_SOCKET = 107  # bytes of a UNIX socket's path (unix(7))
LIKE_HOST = 'write it like host = "127.0.0.1"'
IPV4_PARTS = 4
LARGEST_BYTE = 255
LOOPBACK = "127.0.0.1"  # vLLM binds an IPv4 socket unless the host is an IPv6 literal


@record
class Address:
    """Host (None: every interface) and port; or the path of a UNIX socket, which replaces both."""

    host: str | None
    port: int
    socket_path: str = ""
    tls: bool = False

    def interface(self) -> str:
        """Return the interface it binds, in one spelling for each; `EVERY_INTERFACE` for all."""
        if self.socket_path or not self.host or self.host in EVERYWHERE:
            return EVERY_INTERFACE
        return LOOPBACK if self.host == "localhost" else self.host

    def shown(self) -> str:
        """Return the address as a person writes it."""
        if self.socket_path:
            return self.socket_path
        host = self.host or "0.0.0.0"  # noqa: S104
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


def host_fault(host: str) -> tuple[str, str] | None:
    """Say why a text can be no host, and what to write; None if it may be one.

    What a name stands for nobody asks here: a name server knows, later.
    """
    before, _, behind = host.rpartition(":")
    parts = host.split(".")
    hint = ""
    if host.startswith("[") and "/" not in host:
        hint = "write it without brackets"
    elif ":" in host and behind.isdigit() and not _is_like_ipv6(host) and "/" not in host:
        hint = f'write host = "{before}" and port = {behind}'
    elif len(parts) == IPV4_PARTS and all(part.isascii() and part.isdigit() for part in parts):
        if any(len(part.lstrip("0")) > 3 or int(part) > LARGEST_BYTE for part in parts):  # noqa: PLR2004
            hint = "give each of its four numbers 255 at most"
    elif _is_odd(host):
        hint = LIKE_HOST
    return (f"expected a host name or an address, got '{host}'", hint) if hint else None


def _is_odd(host: str) -> bool:
    strange = not host.isprintable() or "/" in host or " " in host
    return strange or (":" in host and not _is_like_ipv6(host))


def _is_like_ipv6(host: str) -> bool:
    digits, _, _ = host.partition("%")  # a zone follows, like fe80::1%eth0
    return digits.count(":") > 1 and set(digits) <= set("0123456789abcdefABCDEF:.")


def socket_path_fault(path: str) -> tuple[str, str] | None:
    """Say why a path cannot be that of a UNIX socket, and what to do; None if it can."""
    size = len(path.encode("utf-8", "surrogateescape"))
    if size <= LONGEST_SOCKET:
        return None
    message = f"the path of a socket has at most {LONGEST_SOCKET} bytes, this has {size}"
    return message, "put it in a folder with a shorter path"


def effective(instance: Instance, name: str) -> TomlValue:
    """Return an option's value as vLLM will see it: `extra_args` come last, and the last wins."""
    flag = "--" + name.replace("_", "-")
    value: TomlValue = None
    option = instance.option(name)
    if option is not None:
        value = option.value
    for position, token in enumerate(instance.extra_args):
        key, equals, inline = token.partition("=")
        if key.replace("_", "-") != flag:
            continue
        following = instance.extra_args[position + 1 : position + 2]
        value = inline if equals else following[0] if following else True
    return value


def effective_integer(instance: Instance, name: str, default: int) -> int:
    """Return an option's value as an integer; the default where it is unset or no integer."""
    value = effective(instance, name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < LONG:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def server_address(instance: Instance) -> Address:
    """Return where the instance will listen."""
    host = effective(instance, "host")
    socket_path = effective(instance, "uds")
    return Address(
        host=host if isinstance(host, str) and host else None,
        port=effective_integer(instance, "port", DEFAULT_PORT),
        socket_path=socket_path if isinstance(socket_path, str) else "",
        # vLLM serves https when it has both files (uvicorn's rule).
        tls=bool(effective(instance, "ssl_keyfile") and effective(instance, "ssl_certfile")),
    )


def health_probe(address: Address, canary: str = "") -> Probe:
    """Return how to ask the server whether it is healthy, from this machine."""
    host = address.host or ""
    if host in EVERYWHERE or host == "localhost":
        host = "::1" if host == "::" else LOOPBACK
    return Probe(
        host=host,
        port=address.port,
        tls=address.tls,
        socket_path=address.socket_path,
        canary=canary,
    )
