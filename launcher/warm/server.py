"""A fork server: imports once what servers need, then forks one for each request.

It runs under the python of vLLM's environment, where nothing of this package need be installed:
the launcher sends the text of this file over the socket that is its standard input (`BOOTSTRAP` in
`launcher.process.forkserver`). So it imports the standard library alone.

The socket keeps the bounds of messages (SOCK_SEQPACKET); each is a JSON object:

    launcher: {"modules": [...], "site": ".../site-packages/vllm"}
    server:   {"ready": seconds, "missing": [...]}, or {"refused": reason} before it ends
    launcher: {"id", "module", "argv", "env", "parent", "workers"} and a descriptor, output
    server:   {"id", "pid"}, or {"id", "error"}; "stale" with it if the packages have changed

A forked process is a child of the launcher: it is forked twice, its parent ends, and the launcher
is the reaper of its descendants. It goes on only when the launcher has been told its pid. What it
does then is what `python -m MODULE` does.
"""

from __future__ import annotations

import builtins
import gc
import importlib
import importlib.util
import json
import os
import signal
import socket
import stat
import struct
import sys
import threading
import time
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

LARGEST = 1 << 18  # bytes of a message
PR_SET_PDEATHSIG = 1  # prctl(2)
MARKER = "VLLMD_INSTANCE"  # of whose processes it is
SPARE = "VLLMD_SPARE"  # a variable that is there for its size
METHOD = "VLLM_WORKER_MULTIPROC_METHOD"
CPU_PLATFORM = "vllm.platforms.cpu"
TORCH_SEED = 67280421310721  # that of every process, unless it is told otherwise
PID = struct.Struct("=i")
STREAMS = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def main() -> None:
    """Import, then serve until the launcher closes its end; a forked process returns from here."""
    channel = _take_channel()
    _note_titles()
    _show(["vllmd: fork server"], {})
    os.environ.pop(SPARE, None)
    before = dict(os.environ)
    mask = os.umask(0o077)
    os.umask(mask)
    folder = os.getcwd()
    _search_here(folder)
    order = json.loads(channel.recv(LARGEST))
    site = order["site"]
    seen = _stamp(site)
    began = time.monotonic()
    missing = _import_all(order["modules"])
    refusal = _find_obstacle()
    if refusal:
        _tell(channel, {"refused": refusal})
        sys.exit(1)
    added = {name: value for name, value in os.environ.items() if before.get(name) != value}
    _tell(channel, {"ready": round(time.monotonic() - began, 3), "missing": missing})
    request = _serve(channel, site, seen)
    if request is None:
        _flush()
        os._exit(0)
    _take_output(int(str(request["output"])))
    os.umask(mask)
    os.chdir(folder)
    _become(request, before, added)


def _take_channel() -> socket.socket:
    """Move the socket away from standard input, which is nothing from now on."""
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return channel


def _note_titles() -> None:
    """Have `setproctitle`, which names vLLM's processes, find our words before we change them."""
    try:
        setproctitle = importlib.import_module("setproctitle")
    except ImportError:
        return
    setproctitle.getproctitle()


def _search_here(folder: str) -> None:
    """Have the first place of `sys.path` that `python -m` has; ours is that of `python -c`."""
    if not sys.flags.safe_path and sys.path[:1] == [""]:
        sys.path[0] = folder


def _import_all(modules: list[str]) -> list[str]:
    """Import what there is of these; return what is missing. The collector would look in vain."""
    missing = []
    gc.disable()
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:  # another version, or a part that this platform does without
            missing.append(name)
    gc.collect()
    gc.freeze()  # so that a forked process leaves these pages alone
    gc.enable()
    return missing


def _find_obstacle() -> str:
    """Say why nothing may be forked from here; empty if it may be."""
    me = threading.current_thread()
    threads = [thread.name for thread in threading.enumerate() if thread is not me]
    if threads:
        return f"the import left a thread running ({', '.join(threads)})"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "the import has initialized CUDA"
    # OpenBLAS ends its threads when a process forks, and starts them again when it needs them.
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    left = len(os.listdir("/proc/self/task")) - 1
    return f"the import left {left} threads of a library running" if left else ""


def _stamp(site: str) -> tuple[int, ...]:
    """Return what tells a folder of packages from the one that will replace it."""
    try:
        status = os.stat(os.path.join(site, "__init__.py"))
    except OSError:
        return ()
    return (status.st_ino, status.st_mtime_ns, status.st_size)


# Requests.


def _serve(channel: socket.socket, site: str, seen: tuple[int, ...]) -> dict[str, object] | None:
    """Answer requests. Return one in the process forked for it, None when there are no more."""
    while True:
        try:
            data, passed, _, _ = socket.recv_fds(channel, LARGEST, 1)
        except InterruptedError:
            continue
        if not data:
            return None
        request: dict[str, object] = json.loads(data)
        if _stamp(site) != seen:
            answer = {"error": "its packages have changed since the import", "stale": True}
            _tell(channel, {"id": request["id"], **answer})
            _close(passed)
            continue
        if _fork(channel, request):
            channel.close()
            request["output"] = passed[0]
            return request
        _close(passed)


def _fork(channel: socket.socket, request: dict[str, object]) -> bool:
    """Fork a child of the launcher; tell in which process we are."""
    _flush()
    told, tell = os.pipe()
    held, release = os.pipe()
    try:
        between = os.fork()
    except OSError as error:
        _close([told, tell, held, release])
        _tell(channel, {"id": request["id"], "error": f"cannot fork: {error.strerror}".lower()})
        return False
    if between == 0:
        return _fork_again(told, tell, held, release)
    os.close(tell)
    os.close(held)
    data = os.read(told, PID.size)
    os.close(told)
    os.waitpid(between, 0)  # from now on the launcher is the parent
    if len(data) == PID.size:
        _tell(channel, {"id": request["id"], "pid": PID.unpack(data)[0]})
        os.write(release, b"!")
    else:
        _tell(channel, {"id": request["id"], "error": "cannot fork twice"})
    os.close(release)
    return False


def _fork_again(told: int, tell: int, held: int, release: int) -> bool:
    """Fork the process that stays, from one that ends at once.

    Whoever hears of it may signal its group: it leads one before it is told of.
    """
    os.close(told)
    try:
        pid = os.fork()
    except OSError:
        pid = -1
    if pid:
        os._exit(0)
    os.setsid()
    os.write(tell, PID.pack(os.getpid()))
    os.close(tell)
    os.close(release)
    if os.read(held, 1) != b"!":
        # The fork server was killed. Perhaps it had told of us: this must not look like a good end.
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(held)
    return True


def _tell(channel: socket.socket, answer: dict[str, object]) -> None:
    try:
        channel.sendall(json.dumps(answer).encode())
    except BrokenPipeError:
        os._exit(0)  # the launcher is gone


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


# In the forked process.


def _become(request: dict[str, object], before: dict[str, str], added: dict[str, str]) -> None:
    """Be the process that was asked for: run its module as `python -m` would."""
    _end_with_parent(int(str(request["parent"])))
    environment: dict[str, str] = dict(request["env"])  # type: ignore[call-overload]
    _replace_environment(environment, before, added)
    module, words = str(request["module"]), [str(word) for word in request["argv"]]  # type: ignore[attr-defined]
    _show([sys.executable, "-m", module, *words], environment)
    _refresh()
    if request["workers"] and METHOD not in environment:
        _let_workers_fork()
    code = _prepare_main(module, words)
    exec(code, sys.modules["__main__"].__dict__)  # noqa: S102  (as `python -m` does)


def _take_output(output: int) -> None:
    """Write to this from now on: what goes wrong is in the log of the one it goes wrong for."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)


def _end_with_parent(parent: int) -> None:
    """Get a SIGTERM when the launcher is killed, unless it is PID 1, with which all end."""
    if parent == 1:
        return
    import ctypes  # noqa: PLC0415

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGTERM)


def _replace_environment(
    environment: dict[str, str], before: dict[str, str], added: dict[str, str]
) -> None:
    """Have the given variables alone, and those that the import sets in any process."""
    os.environ.clear()
    os.environ.update(environment)
    for name, value in added.items():
        if environment.get(name) == before.get(name):
            os.environ[name] = value


def _show(words: list[str], environment: dict[str, str]) -> None:
    """Show these words in /proc, where the process's own stood; variables too, if there are any.

    That is the kernel's view only: the variables themselves are elsewhere by then. What does not
    fit is not shown; what tells whose process it is comes first.
    """
    import ctypes  # noqa: PLC0415

    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    # proc(5): arg_start is field 48, and the third field is the first behind the name.
    arg_start, arg_end, env_start, env_end = (int(field) for field in fields[45:49])
    _write(ctypes.memmove, arg_start, arg_end, words)
    if environment:
        first = sorted(environment.items(), key=lambda pair: pair[0] != MARKER)
        pairs = [f"{name}={value}" for name, value in first]
        _write(ctypes.memmove, env_start, env_end, pairs)


def _write(move: Callable[..., object], start: int, end: int, words: list[str]) -> None:
    """Write as many whole words as there is room for, and nothing behind them."""
    room = end - start
    text = b""
    for word in words:
        more = os.fsencode(word) + b"\0"
        if len(text) + len(more) <= room:
            text += more
    if room:
        move(start, text.ljust(room, b"\0"), room)


def _refresh() -> None:
    """Have what each process makes anew: seeds, keys, and what depends on variables."""
    import multiprocessing  # noqa: PLC0415
    import random  # noqa: PLC0415
    import tempfile  # noqa: PLC0415

    multiprocessing.current_process().authkey = os.urandom(32)
    # As `multiprocessing` does after a fork: the number is the fork server's until then.
    getattr(threading.main_thread(), "_set_native_id", int)()
    random.seed()
    tempfile.tempdir = None
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
    torch = sys.modules.get("torch")
    if torch is not None and torch.initial_seed() != TORCH_SEED:
        torch.default_generator.seed()  # the import has seeded it anew, as it does in any process


def _let_workers_fork() -> None:
    """Fork the engine and the workers too: they inherit what is imported.

    vLLM heeds the variable, and takes "spawn" where CUDA has been initialized. Its CPU platform
    always sets "spawn", for the sake of OpenMP's variables, which are read when a process begins:
    there, we set it again, and do in the worker what these variables would have done.
    """
    from multiprocessing.util import register_after_fork  # noqa: PLC0415

    os.environ[METHOD] = "fork"
    register_after_fork(sys, _part_from_server)
    cpu = sys.modules.get(CPU_PLATFORM)
    executor = sys.modules.get("vllm.v1.executor.multiproc_executor")
    if cpu is None or executor is None:
        return
    platform = cpu.CpuPlatform
    check = platform.check_and_update_config.__func__
    work = executor.WorkerProc.worker_main

    def check_and_update_config(cls: type, vllm_config: object) -> None:
        check(cls, vllm_config)
        os.environ[METHOD] = "fork"

    def worker_main(*args: object, **kwargs: object) -> None:
        _bind_threads()
        work(*args, **kwargs)

    platform.check_and_update_config = classmethod(check_and_update_config)
    executor.WorkerProc.worker_main = staticmethod(worker_main)


def _part_from_server(_: object) -> None:
    """Leave to the server what is its own, in an engine or a worker that it has forked.

    Its event loop hears of signals through a descriptor that a fork inherits: a SIGTERM for the
    engine, or for one worker, would stop the server as well.
    """
    signal.set_wakeup_fd(-1)
    _give_up_listening()


def _give_up_listening() -> None:
    """Leave the sockets that have an address to the server: the engine must not hold its port.

    A worker that held it would keep it when the server is gone. And vLLM 0.32 ends with a traceback
    if a process that it finds at its port, while it shuts down, is gone at the next look. Nothing
    else takes their numbers: the objects that know them will close them.
    """
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for name in os.listdir("/proc/self/fd"):
        if _awaits_connections(int(name)):
            os.dup2(nothing, int(name), inheritable=False)
    os.close(nothing)


def _awaits_connections(descriptor: int) -> bool:
    """Tell whether this is a stream socket with an address, whether it listens yet or will."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
        with socket.socket(fileno=os.dup(descriptor)) as same:
            if same.family not in STREAMS or same.type != socket.SOCK_STREAM:
                return False
            address = same.getsockname()
            has_address = bool(address if same.family == socket.AF_UNIX else address[1])
            return has_address and not _has_peer(same)
    except OSError:  # closed meanwhile: the descriptor of the listing itself
        return False


def _has_peer(connection: socket.socket) -> bool:
    try:
        connection.getpeername()
    except OSError:
        return False
    return True


def _bind_threads() -> None:
    """Have as many threads, on the processors, as OpenMP's variables say."""
    count = os.environ.get("OMP_NUM_THREADS", "")
    if count.isdigit():
        sys.modules["torch"].set_num_threads(int(count))
    places = os.environ.get("GOMP_CPU_AFFINITY") or os.environ.get("OMP_PLACES", "").strip("{}")
    cores = places.replace(",", " ").split()
    if cores and all(core.isdigit() for core in cores):
        os.sched_setaffinity(0, {int(core) for core in cores})


def _prepare_main(module: str, words: list[str]) -> CodeType:
    """Make a new `__main__` for a module, as `python -m` does; return its code."""
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations is not None:
        module = f"{module}.__main__"
        spec = importlib.util.find_spec(module)
    get_code = getattr(spec.loader if spec else None, "get_code", None)
    code = get_code(module) if get_code else None
    if spec is None or code is None:
        sys.exit(f"{sys.executable}: No module named {module}")
    main_module = types.ModuleType("__main__")
    main_module.__spec__ = spec
    main_module.__loader__ = spec.loader
    main_module.__package__ = spec.parent
    main_module.__file__ = spec.origin
    main_module.__cached__ = spec.cached  # type: ignore[attr-defined]
    main_module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main_module
    sys.argv[:] = [spec.origin or "", *words]
    sys.orig_argv[:] = [sys.executable, "-m", module, *words]
    return code  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
