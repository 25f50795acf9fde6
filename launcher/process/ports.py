"""Is a port free? Asked right before the start, when nobody else of ours listens yet."""

from __future__ import annotations

import socket

from launcher.errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.spec import Probe, ProcessSpec


def require_free_ports(specs: tuple[ProcessSpec, ...]) -> None:
    """Check that no other program holds the address of a server.

    vLLM sets SO_REUSEADDR, so a port that another server has bound but not yet opened (it loads
    its model) looks free to it: both load, and the second then hangs for ever.

    Raises:
        StartError: an address is taken, or is none of this machine's.
    """
    for spec in specs:
        if spec.probe is None or spec.probe.socket_path:
            continue
        fault = find_fault(spec.probe)
        if fault:
            raise StartError(f"'{spec.name}' cannot listen: {fault}", "stop it, or change the port")


def find_fault(probe: Probe) -> str | None:
    """Say why a server cannot listen there, or None if it can."""
    family = socket.AF_INET6 if ":" in probe.host else socket.AF_INET
    strict = _bind(family, probe, reuse=False)
    if strict is None:
        return None
    loose = _bind(family, probe, reuse=True)
    if loose is None and _has_lingering(probe.port):
        return None  # connections of a former server, which SO_REUSEADDR passes over
    reason = (strict.strerror or str(strict)).lower()
    if isinstance(strict, PermissionError):
        return f"port {probe.port}: {reason}"
    return f"port {probe.port} on {probe.host}: {reason}"


def _bind(family: int, probe: Probe, *, reuse: bool) -> OSError | None:
    with socket.socket(family) as test:
        if reuse:
            test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            test.bind((probe.host, probe.port))
        except OSError as error:
            return error
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
