"""Is an address free? Asked right before the start, when nobody else of ours listens yet."""

from __future__ import annotations

# The C module of `socket`: what `socket` adds to it takes a fifth of an interpreter start, and this
# runs before the first server does.
import _socket as socket
import errno
import os
import stat

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
        return _find_socket_fault(probe.socket_path)
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


def _find_socket_fault(path: str) -> tuple[str, str] | None:
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f"'{path}': there is no folder '{folder}'", "make the folder, or change uds"
    if os.path.isdir(path):
        return f"'{path}' is a folder", "name a file in it as uds"
    if _try_connect(path) is None:
        return f"another program answers on '{path}'", "stop it, or change uds"
    if _is_bound(path):
        return f"another program holds '{path}', and does not answer yet", "stop it, or change uds"
    return None


def remove_dead_socket(path: str) -> None:
    """Remove a UNIX socket whose server has ended.

    Its file stays behind, also after a stop in good order, and vLLM's `bind` fails while it is
    there (create_server_unix_socket in vllm/entrypoints/launchers/launcher.py, 0.32).
    """
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
        is_refused = is_socket and isinstance(_try_connect(path), ConnectionRefusedError)
        # vLLM binds first and listens once the model is loaded: that one refuses too.
        if is_refused and not _is_bound(path):
            os.unlink(path)
    except OSError:
        return  # there is none; or the server will say what is wrong with it


def _try_connect(path: str) -> OSError | None:
    """Connect to a UNIX socket: None if somebody answers, in a server's place perhaps."""
    test = socket.socket(socket.AF_UNIX)
    try:
        test.settimeout(CONNECT_S)
        test.connect(path)
    except OSError as error:
        return error
    finally:
        test.close()
    return None


def _is_bound(path: str) -> bool:
    """Tell whether a process has a UNIX socket of that path (proc(5), net/unix)."""
    wanted = os.fsencode(path)
    try:
        with open("/proc/net/unix", "rb") as table:
            return any(line.rstrip(b"\n").split(None, 7)[7:] == [wanted] for line in table)
    except OSError:
        return False


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
