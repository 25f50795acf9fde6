"""What on this machine will trouble vLLM later, told at the start: look, then judge.

Warnings only; nothing is changed, and nothing here takes longer than a few file look-ups.
"""

from __future__ import annotations

import os
import resource

from launcher.record import record
from launcher.server.facts import PORT_VARIABLE, is_hijacked_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.process.spec import ProcessSpec

MIB = 1024 * 1024
GIB = 1024 * MIB
SHM = "/dev/shm"  # noqa: S108  (the one of the machine, which is looked at)
# NCCL's buffers, vLLM's message queue (16 MiB per worker group) and PyTorch's: Docker's default of
# 64 MiB breaks tensor parallelism (vllm issue 1710); vLLM's own manual says --shm-size=... or
# --ipc=host. A gibibyte for each GPU has been enough for everybody.
SHM_LEAST = 64 * MIB
SHM_PER_GPU = GIB
# On a CPU a server always has a worker of its own, and a message queue to it: 10 chunks of 16 MiB
# (vllm/platforms/cpu.py, vllm/distributed/device_communicators/shm_broadcast.py, 0.32).
SHM_ON_CPU = 160 * MIB
FILES_LEAST = 4096  # a server under load holds a socket for each request
MEMLOCK_LEAST = 8 * MIB  # pinned buffers of RDMA transports (NCCL over InfiniBand, NIXL)


@record
class Warned:
    """What was seen, why it matters, and what to do."""

    message: str
    hint: str


@record
class MachineFacts:
    """What was looked at. Sizes are in bytes; None: not there, or no limit."""

    shm_bytes: int | None
    open_files: int | None
    memlock: int | None
    has_passwd_entry: bool
    uid: int
    environ: Mapping[str, str]
    unwritable: tuple[tuple[str, str], ...]  # a cache's folder, and the variable that moves it
    tensor_parallel: int  # the most GPUs that one instance is split over
    on_cpu: bool  # an instance runs on the CPU, in more than one process
    has_temporary_folder: bool
    on_infiniband: bool

    def __repr__(self) -> str:
        """Show nothing: the environment is in here."""
        return "MachineFacts(...)"


def preflight(specs: tuple[ProcessSpec, ...], environ: Mapping[str, str]) -> tuple[Warned, ...]:
    """Look at the machine for these processes, and say what will trouble them."""
    instances = [spec for spec in specs if not spec.main]
    return tuple(judge(_gather(instances, environ))) if instances else ()


def judge(facts: MachineFacts) -> Iterator[Warned]:
    """Return what to warn of."""
    yield from _judge_shared_memory(facts)
    yield from _judge_limits(facts)
    yield from _judge_user(facts)
    if is_hijacked_port(facts.environ):
        yield Warned(
            message=f"'{PORT_VARIABLE}' is '{facts.environ[PORT_VARIABLE]}', as Kubernetes sets it "
            "for a Service that is called 'vllm': vLLM would fail, so its servers do not get it",
            hint="rename the Service, or set enableServiceLinks: false in the pod",
        )


def _judge_shared_memory(facts: MachineFacts) -> Iterator[Warned]:
    size, gpus = facts.shm_bytes, facts.tensor_parallel
    if size is None:
        return
    whom, least = "a server", SHM_LEAST
    if gpus > 1:
        whom, least = f"a server on {gpus} GPUs", SHM_PER_GPU * gpus
    elif facts.on_cpu:
        whom, least = "a server on the CPU", SHM_ON_CPU
    if size < least:
        yield Warned(
            message=f"{SHM} has {size // MIB} MiB, {whom} may need {least // MIB} MiB: its "
            "processes talk through it, and fail with NCCL or bus errors where it is full",
            hint=f"docker run --shm-size={max(1, least // GIB)}g (or --ipc=host); in "
            f"Kubernetes an emptyDir with medium: Memory at {SHM}",
        )


def _judge_limits(facts: MachineFacts) -> Iterator[Warned]:
    if facts.open_files is not None and facts.open_files < FILES_LEAST:
        yield Warned(
            message=f"only {facts.open_files} files may be open at once: every request to a "
            "server takes one",
            hint="docker run --ulimit nofile=65536, or LimitNOFILE=65536 in a unit",
        )
    if facts.on_infiniband and facts.memlock is not None and facts.memlock < MEMLOCK_LEAST:
        yield Warned(
            message=f"only {facts.memlock // 1024} KiB of memory may be locked: transfers over "
            "InfiniBand lock their buffers",
            hint="docker run --ulimit memlock=-1, or LimitMEMLOCK=infinity in a unit",
        )


def _judge_user(facts: MachineFacts) -> Iterator[Warned]:
    environ = facts.environ
    if not facts.has_passwd_entry and not (environ.get("USER") or environ.get("LOGNAME")):
        yield Warned(
            message=f"user id {facts.uid} has no name: PyTorch asks for it to name its cache, and "
            "fails",
            hint="set USER (any name) and HOME in the container's environment",
        )
    if environ.get("HOME", "") in {"", "/"} and not facts.has_passwd_entry:
        yield Warned(
            message="'HOME' is not set, or is '/': models and compiled code are kept below it",
            hint="set HOME to a folder that can be written, or HF_HOME and VLLM_CACHE_ROOT",
        )
    if not facts.has_temporary_folder:
        yield Warned(
            message="no folder for temporary files can be written: vLLM's processes meet in one, "
            "and fail without",
            hint="docker run --tmpfs /tmp, or set TMPDIR to a folder that can be written",
        )
    for path, variable in facts.unwritable:
        yield Warned(
            message=f"'{path}' cannot be written by user id {facts.uid}: downloads and compiled "
            "code are kept there",
            hint=f"mount a folder that can be written there, or set {variable} to one",
        )


def cache_folders(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the folders of caches, and the variable that moves each.

    huggingface_hub/constants.py (HF_HOME) and vllm/envs.py (VLLM_CACHE_ROOT).
    """
    home = environ.get("HOME", "")
    cache = environ.get("XDG_CACHE_HOME") or (os.path.join(home, ".cache") if home else "")
    folders = [
        (environ.get("HF_HOME") or (cache and os.path.join(cache, "huggingface")), "HF_HOME"),
        (environ.get("VLLM_CACHE_ROOT") or (cache and os.path.join(cache, "vllm")),
         "VLLM_CACHE_ROOT"),
    ]  # fmt: skip
    return tuple((path, variable) for path, variable in folders if path)


def temporary_folders(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return where temporary files may go, as Python's `tempfile` looks for it."""
    named = (environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP"))
    return (*filter(None, named), "/tmp", "/var/tmp", "/usr/tmp", os.curdir)  # noqa: S108


def _gather(instances: list[ProcessSpec], environ: Mapping[str, str]) -> MachineFacts:
    shared = {**environ, **_shared_variables(instances)}
    folders = cache_folders(shared)
    return MachineFacts(
        shm_bytes=_size(SHM),
        open_files=_limit(resource.RLIMIT_NOFILE),
        memlock=_limit(resource.RLIMIT_MEMLOCK),
        has_passwd_entry=_has_passwd_entry(os.getuid()),
        uid=os.getuid(),
        environ=shared,
        unwritable=tuple(pair for pair in folders if not _can_write(pair[0])),
        tensor_parallel=max(_tensor_parallel(spec.argv) for spec in instances),
        on_cpu=any(_on_cpu(spec, environ) for spec in instances),
        has_temporary_folder=any(map(_can_write, temporary_folders(shared))),
        on_infiniband=os.path.isdir("/sys/class/infiniband"),
    )


def _shared_variables(instances: list[ProcessSpec]) -> dict[str, str]:
    """Return the variables that every instance is given with one value."""
    first, *others = [{each.name: each.value for each in spec.env} for spec in instances]
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name) == value for other in others)
    }


def _on_cpu(spec: ProcessSpec, environ: Mapping[str, str]) -> bool:
    own = {**environ, **{each.name: each.value for each in spec.env}}
    is_single = own.get("VLLM_ENABLE_V1_MULTIPROCESSING") == "0"
    return own.get("CUDA_VISIBLE_DEVICES") == "" and not is_single


def _tensor_parallel(argv: tuple[str, ...]) -> int:
    for flag in ("--tensor-parallel-size", "-tp"):
        if flag in argv[:-1]:
            try:
                return max(1, int(argv[argv.index(flag) + 1]))
            except ValueError:  # which vLLM will refuse
                return 1
    return 1


def _size(path: str) -> int | None:
    try:
        status = os.statvfs(path)
    except OSError:
        return None
    return status.f_blocks * status.f_frsize


def _limit(which: int) -> int | None:
    hard = resource.getrlimit(which)[1]  # vLLM raises the soft limit itself, as far as it may
    return None if hard == resource.RLIM_INFINITY else hard


def _has_passwd_entry(uid: int) -> bool:
    import pwd  # noqa: PLC0415  (only looked up after the first start)

    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _can_write(path: str) -> bool:
    """Tell whether a folder can be written, or made where it is missing."""
    while path not in {"", "/"} and not os.path.lexists(path):
        path = os.path.dirname(path)
    return os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)
