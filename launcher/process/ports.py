"""Is a port free? Asked right before the start, when nobody else of ours listens yet."""

from __future__ import annotations

# The C module of `socket`: what `socket` adds to it takes a fifth of an interpreter start, and this
# runs before the first server does.
import _socket as socket
import errno

from launcher.errors import StartError
from launcher.process.spec import Probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.spec import ProcessSpec

CONNECT_S = 1.0  # a UNIX socket connects at once, unless its backlog is full


def require_free_ports(specs: tuple[ProcessSpec, ...]) -> None:
    """Check that no other program holds the address of a server.

    vLLM sets SO_REUSEADDR, so a port that another server has bound but not yet opened (it loads
    its model) looks free to it: both load, and the second then hangs for ever.

    Raises:
        StartError: an address is taken, or is none of this machine's.
    """
    for spec in specs:
        fault = find_fault(spec.probe) if spec.probe else None
        if fault:
            raise StartError(f"'{spec.name}' cannot listen: {fault[0]}", fault[1])


def require_free_address(host: str, port: int) -> None:
    """Check that the launcher itself can listen there.

    Raises:
        StartError: the address is taken, or is none of this machine's.
    """
    fault = find_fault(Probe(host=host, port=port))
    if fault:
        raise StartError(f"the launcher cannot listen: {fault[0]}", fault[1])


def find_fault(probe: Probe) -> tuple[str, str] | None:
    """Say why a server cannot listen there, and what to do about it; None if it can."""
    if probe.socket_path:
        if not _is_answered(probe.socket_path):
            return None
        return f"another program answers on '{probe.socket_path}'", "stop it, or change uds"
    family = socket.AF_INET6 if ":" in probe.host else socket.AF_INET
    strict = _bind(family, probe, reuse=False)
    if strict is None:
        return None
    loose = _bind(family, probe, reuse=True)
    if loose is None and _has_lingering(probe.port):
        return None  # connections of a former server, which SO_REUSEADDR passes over
    return _explain(probe, strict)


def _explain(probe: Probe, fault: OSError) -> tuple[str, str]:
    reason = f"port {probe.port} on {probe.host}: {(fault.strerror or str(fault)).lower()}"
    if fault.errno == errno.EADDRINUSE:
        return reason, "stop the program that holds it, or change the port"
    if isinstance(fault, PermissionError):
        return reason, "use a port above 1023"
    return reason, "correct host: it has to be an address of this machine"


def _is_answered(path: str) -> bool:
    """Tell whether somebody listens on a UNIX socket, who would answer in the server's place."""
    test = socket.socket(socket.AF_UNIX)
    try:
        test.settimeout(CONNECT_S)
        test.connect(path)
    except OSError:
        return False
    finally:
        test.close()
    return True


def _bind(family: int, probe: Probe, *, reuse: bool) -> OSError | None:
    try:
        test = socket.socket(family)
    except OSError as error:  # a kernel without IPv6
        return error
    try:
        if reuse:
            test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        test.bind((probe.host, probe.port))
    except OSError as error:
        return error
    finally:
        test.close()
    return None


def _has_lingering(port: int) -> bool:
    """Tell whether closed connections of that port are still remembered (proc(5), net/tcp)."""
    wanted = f":{port:04X}"
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(name, encoding="ascii") as table:
                if any(line.split()[1].endswith(wanted) for line in table):
                    return True
        except OSError:
            continue
    return False
