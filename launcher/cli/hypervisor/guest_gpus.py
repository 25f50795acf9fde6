"""GPU ids inside a guest: the devices passed through, numbered from 0."""

from __future__ import annotations

from launcher.config.reader import Refusal
from launcher.hypervisor.pci import SYSFS, resolve_devices
from launcher.server.gpus import GpuIds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import TomlValue
    from launcher.config.reader import Problems
    from launcher.server.model import Instance

DISPLAY = 0x03  # PCI's base class of display controllers, which GPUs without a display are too


def count_gpus(devices: str, sysfs: str = SYSFS) -> int | None:
    """Return how many GPUs a list of devices holds; None where it cannot be looked up here."""
    names = [each.strip() for each in devices.split(",") if each.strip()]
    try:
        found = resolve_devices(names, sysfs)
    except Refusal:
        return None  # what is wrong with it is told with the other variables
    return sum(each.class_code >> 16 == DISPLAY for each in found)


def plan_gpu_ids(
    instances: tuple[Instance, ...], gpu_count: int | None, problems: Problems
) -> dict[str, TomlValue]:
    """Return the overrides that give each instance its GPUs by the guest's own numbers.

    Ids that the guest has stay. Where some are beyond, all are ids of the host: the lowest that any
    instance names becomes 0, the next 1, and so on. More ids than GPUs are a problem.
    """
    wanted = {
        each.name: each.control.gpu_ids.ids
        for each in instances
        if each.control.enabled and isinstance(each.control.gpu_ids, GpuIds)
    }
    numbers = sorted({int(gpu) for ids in wanted.values() for gpu in ids if gpu.isdigit()})
    if not numbers or gpu_count is None or numbers[-1] < gpu_count:
        return {}
    if len(numbers) > gpu_count:
        _add_shortage(problems, numbers, gpu_count)
        return {}
    inside = {str(number): str(position) for position, number in enumerate(numbers)}
    return {
        "instance": {
            name: {"control": {"gpu_ids": ",".join(inside.get(gpu, gpu) for gpu in ids)}}
            for name, ids in wanted.items()
        }
    }


def _add_shortage(problems: Problems, numbers: list[int], gpu_count: int) -> None:
    named = ", ".join(map(str, numbers))
    problems.add(
        ("guest", "devices"),
        f"the instances use {len(numbers)} GPUs ({named}), and the guest gets {gpu_count}",
        "name the PCI address of each GPU in [guest] devices",
    )
