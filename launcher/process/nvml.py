"""The memory of NVIDIA's GPUs, from the management library that comes with the driver.

Loaded only when an instance with GPU ids is restarted or has been started: without the library, or
without a GPU, there is nothing to ask and nothing to wait for. API: nvml.h of the CUDA toolkit.
"""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LIBRARY = "libnvidia-ml.so.1"
SUCCESS = 0
# A context that another process has opened meanwhile is no debt of the one that died.
NEAR = 256 * 1024 * 1024  # bytes


_Memory = ctypes.c_ulonglong * 3  # nvmlMemory_t: total, free, used; in bytes


def used_memory(gpu_ids: Iterable[str]) -> dict[str, int]:
    """Return the bytes in use on each GPU, by its index on the PCI bus or its UUID.

    A GPU that cannot be asked is left out; without the library, or a GPU, that is every one.
    """
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return {}
    if library.nvmlInit_v2() != SUCCESS:
        return {}
    try:
        found = {gpu: _used(library, gpu) for gpu in gpu_ids}
    finally:
        library.nvmlShutdown()
    return {gpu: used for gpu, used in found.items() if used is not None}


def _used(library: ctypes.CDLL, gpu: str) -> int | None:
    device = ctypes.c_void_p()
    if gpu.isascii() and gpu.isdigit():
        code = library.nvmlDeviceGetHandleByIndex_v2(int(gpu), ctypes.byref(device))
    else:
        code = library.nvmlDeviceGetHandleByUUID(gpu.encode(), ctypes.byref(device))
    memory = _Memory()
    if code == SUCCESS:
        code = library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory))
    return memory[2] if code == SUCCESS else None


def not_returned(now: dict[str, int], baseline: dict[str, int]) -> dict[str, int]:
    """Return the bytes by which GPUs are fuller than they were; those that are not are left out."""
    more = {gpu: used - baseline[gpu] for gpu, used in now.items() if gpu in baseline}
    return {gpu: excess for gpu, excess in more.items() if excess > NEAR}
