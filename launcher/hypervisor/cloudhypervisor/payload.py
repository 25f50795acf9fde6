"""The VmConfig of Cloud Hypervisor for a guest. Pure.

Unknown keys are ignored by its parser without a word, so that every name here is held against the
official OpenAPI file by a test. Sizes are in bytes: suffixes are the command line's only.
"""

from __future__ import annotations

import json

from launcher.hypervisor import rundir as names
from launcher.hypervisor.backend import Launch
from launcher.hypervisor.cloudhypervisor.versions import OLDEST, parse_version
from launcher.hypervisor.model import REPORT_VSOCK_PORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from launcher.hypervisor.model import Disk, Memory, Network, VmSpec
    from launcher.hypervisor.rundir import RunDir

GUEST_CID = 3  # the first that is free: each VMM has its own socket, so all guests have the same
REPORTS = f"{names.VSOCK}_{REPORT_VSOCK_PORT}"
METHODS = {"acpi": "Acpi", "virtio-mem": "VirtioMem"}
IMAGE_TYPES = {"raw": "Raw", "qcow2": "Qcow2"}


def plan_cloud_hypervisor(spec: VmSpec, rundir: RunDir, program: str) -> Launch:
    """Return how to start Cloud Hypervisor for a guest, and what to tell it then."""
    argv = [program, "--api-socket", f"path={rundir.file(names.API)}"]
    argv += ["--event-monitor", f"path={rundir.file(names.EVENTS)}", "--seccomp", "true"]
    argv += ["-v"] if spec.log_level == "DEBUG" else []
    return Launch(
        argv=tuple(argv),
        report=REPORTS,
        pipe=names.EVENTS,
        payload=json.dumps(plan_config(spec, rundir)),
    )


def plan_config(spec: VmSpec, rundir: RunDir) -> dict[str, Any]:
    """Return the VmConfig."""
    config: dict[str, Any] = {
        "payload": _payload(spec),
        # Nothing in an inference guest starts guests of its own.
        "cpus": {"boot_vcpus": spec.cpus, "max_vcpus": spec.cpus, "nested": False},
        "memory": _memory(spec.memory),
        "disks": [_disk("system", spec.system_image), _disk("config", spec.config_image)],
        "rng": {"src": "/dev/urandom"},
        "serial": {"mode": "Socket", "socket": rundir.file(names.CONSOLE)},
        "console": {"mode": "Off"},  # its default is our own terminal
        "vsock": {"cid": GUEST_CID, "socket": rundir.file(names.VSOCK), "id": "vsock"},
        "pvpanic": True,
    }
    if spec.network.kind == "tap":
        config["net"] = [_net(spec.network)]
    if spec.devices:
        config["devices"] = [
            {"path": path, "id": f"device{number}"} for number, path in enumerate(spec.devices)
        ]
    return config


def _payload(spec: VmSpec) -> dict[str, str]:
    """Kernels and firmware go through one loader, under one name."""
    payload = {"kernel": spec.kernel}
    if spec.firmware:
        return payload
    if spec.initramfs:
        payload["initramfs"] = spec.initramfs
    return payload | ({"cmdline": spec.cmdline} if spec.cmdline else {})


def _memory(memory: Memory) -> dict[str, Any]:
    config: dict[str, Any] = {
        "size": memory.size,
        "mergeable": memory.mergeable,
        "shared": memory.shared,
        "hugepages": memory.hugepages,
        "prefault": memory.prefault,
        "reserve": memory.reserve,
        "thp": memory.thp,
        "hotplug_method": METHODS[memory.hotplug_method],
    }
    optional = {
        "hugepage_size": memory.hugepage_size,
        "hotplug_size": memory.hotplug_size,
        "hotplugged_size": memory.hotplugged_size,
    }
    return config | {name: value for name, value in optional.items() if value is not None}


def _disk(name: str, disk: Disk) -> dict[str, Any]:
    """Always say the type: where it is guessed, writes to the first sector are refused."""
    return {
        "id": name,
        "serial": name,
        "path": disk.path,
        "readonly": disk.readonly,
        "image_type": IMAGE_TYPES[disk.format],
    }


def _net(network: Network) -> dict[str, Any]:
    """A tap that is there and up needs no privilege, as long as nothing else is asked of it."""
    return {"id": "net", "tap": network.tap, "mac": network.mac}


def find_cloud_hypervisor_gaps(spec: VmSpec, version: str) -> list[tuple[str, str, str]]:
    """Return what this guest wants and this version has not; an empty version is the newest.

    Each is a variable's name without its prefix, a message and a hint.
    """
    gaps = []
    numbers = parse_version(version)
    if numbers is not None and numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        message = f"cloud-hypervisor {version} is older than {oldest}"
        gaps.append(("BACKEND", message, "install a newer release of cloud-hypervisor"))
    if spec.memory.reserve and numbers is not None and numbers < (53, 0):
        message = f"cloud-hypervisor {version} does not know reserve=on"
        gaps.append(("MEMORY_CONFIG", message, "use prefault=on, or version 53 or newer"))
    if spec.network.kind == "user" or spec.network.publish:
        hint = "use VLLMD_HYPERVISOR_NET=tap=NAME, or the backend qemu"
        name = "NET" if spec.network.kind == "user" else "PUBLISH"
        gaps.append((name, "cloud-hypervisor has no network of the kind 'user'", hint))
    return gaps
