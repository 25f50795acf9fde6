"""The IOMMU, vfio, and the configured GPUs."""

from __future__ import annotations

import os

from launcher.hypervisor.host.checks.survey import AMD, GIB, INTEL, has_devices, memory_of
from launcher.hypervisor.host.findings import FAIL, OK, SKIP, WARN, Finding
from launcher.hypervisor.pci import find_companions, find_device, find_devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.checks.survey import Survey
    from launcher.hypervisor.pci import PciDevice

IOMMU_WHY = "it keeps a passed-through device out of the memory of the host and of other guests"
GROUP_WHY = "the kernel hands out whole IOMMU groups, to one guest each"
FIRMWARE = "systemctl reboot --firmware-setup"
KINDS = {"dmar": "Intel VT-d", "ivhd": "AMD-Vi", "smmu": "ARM SMMU"}
# 12 GiB below 1 TiB are the AMD IOMMU's own (HyperTransport): no guest memory can be mapped there.
AMD_LIMIT = 1000 * GIB


def check_iommu(survey: Survey) -> Finding:
    """Look for an IOMMU and its groups."""
    groups = survey.names("/sys/kernel/iommu_groups")
    units = survey.names("/sys/class/iommu")
    if groups:
        kinds = {
            words for prefix, words in KINDS.items() if any(u.startswith(prefix) for u in units)
        }
        seen = f"{', '.join(sorted(kinds)) or 'on'}, {len(groups)} groups"
        return Finding(name="iommu", status=OK, seen=seen, why=IOMMU_WHY)
    return Finding(
        name="iommu",
        status=FAIL if survey.gpus else WARN,
        seen="there are no IOMMU groups",
        why=f"{IOMMU_WHY}; guests without GPUs need none",
        mend=_turn_on(survey),
    )


def _turn_on(survey: Survey) -> str:
    if survey.is_container:
        return "docker run -v /sys:/sys:ro ...  # start the container so, if its host has one"
    if survey.is_guest:
        return "qemu-system-x86_64 -machine q35 -device intel-iommu,caching-mode=on,intremap=on ...  # start this virtual machine so"  # noqa: E501  (one command)
    asked = "intel_iommu=on" in survey.read("/proc/cmdline").split()
    if survey.vendor == INTEL and not asked:
        return survey.boot_with("intel_iommu=on iommu=pt")
    option = {INTEL: "VT-d", AMD: "IOMMU (AMD-Vi)"}.get(survey.vendor, "the IOMMU")
    return f"{FIRMWARE}  # and turn {option} on there"


def check_modules(survey: Survey) -> Finding:
    """Look whether the kernel's parts of device passthrough are loaded."""
    name, why = "vfio-modules", "they hand a device to a guest"
    if not survey.gpus:
        return Finding(name=name, status=SKIP, seen="no GPUs are configured", why=why)
    exists = survey.machine.exists
    # Built in, a module shows in /sys/module only if it has parameters: look for its deeds.
    present = {
        "vfio": exists("/sys/module/vfio") or exists("/dev/vfio/vfio"),
        "vfio_iommu_type1": exists("/sys/module/vfio_iommu_type1") or exists("/dev/iommu"),
        "vfio_pci": exists("/sys/bus/pci/drivers/vfio-pci"),
    }
    missing = [module for module, there in present.items() if not there]
    if not missing:
        return Finding(name=name, status=OK, seen="loaded", why=why)
    load = f"sudo modprobe -a {' '.join(missing)}"
    keep = f"printf '%s\\n' {' '.join(present)} | sudo tee /etc/modules-load.d/vfio.conf"
    seen = f"not loaded: {', '.join(missing)}"
    return Finding(name=name, status=FAIL, seen=seen, why=why, mend=f"{load} && {keep}")


def check_gpus(survey: Survey) -> tuple[Finding, ...]:
    """Check each configured GPU, or other device."""
    lost = tuple(
        Finding(
            name=f"device {text}",
            status=FAIL,
            seen=refusal.message,
            why="a guest wants it",
            mend=f"${{EDITOR:-vi}} {survey.config.path}  # {refusal.hint}",
        )
        for text, refusal in survey.lost_devices
    )
    return (*lost, *(found for gpu in survey.gpus for found in _check_gpu(survey, gpu)))


def _check_gpu(survey: Survey, gpu: str) -> tuple[Finding, ...]:
    device = find_device(gpu, survey.machine.sysfs)
    if device is None:
        others = [d.address for d in find_devices(survey.machine.sysfs) if d.is_display]
        seen = "this machine has no such device"
        if others:
            seen += f"; its GPUs are {', '.join(others)}"
        mend = f"${{EDITOR:-vi}} {survey.config.path}  # name one that 'lspci -D' shows"
        why = f"the runtime '{survey.gpus[gpu]}' wants it"
        return (Finding(name=f"gpu {gpu}", status=FAIL, seen=seen, why=why, mend=mend),)
    if _is_lost(device):
        seen = "the card does not answer: its configuration reads as ones"
        mend = "sudo reboot  # a reset does not bring it back"
        why = f"the runtime '{survey.gpus[gpu]}' wants it"
        return (Finding(name=f"gpu {gpu}", status=FAIL, seen=seen, why=why, mend=mend),)
    if device.other_kind and _is_meant_as_gpu(survey, gpu):
        mend = f"${{EDITOR:-vi}} {survey.config.path}  # name one that 'lspci -D' shows"
        seen = f"this is no GPU, but {device.other_kind}"
        why = f"the runtime '{survey.gpus[gpu]}' would take it from the host"
        return (Finding(name=f"gpu {gpu}", status=FAIL, seen=seen, why=why, mend=mend),)
    return (
        _check_group(survey, device),
        _check_binding(survey, device),
        _check_node(survey, device),
    )


def _is_meant_as_gpu(survey: Survey, gpu: str) -> bool:
    runtimes = survey.config.runtimes
    return any(gpu in each.gpus for each in runtimes if not each.guest.devices)


def _check_group(survey: Survey, device: PciDevice) -> Finding:
    """Hold the whole-group rule against a GPU's group."""
    name = f"iommu-group {device.address}"
    if not device.group:
        seen = "the GPU is in no IOMMU group"
        return Finding(name=name, status=FAIL, seen=seen, why=GROUP_WHY, mend=_turn_on(survey))
    companions = find_companions(device, survey.machine.sysfs)
    names = ", ".join(_describe(each) for each in companions)
    seen = f"group {device.group}, " + (f"with {names}" if names else "alone in it")
    runtime = survey.gpus[device.address]
    torn = [each for each in companions if survey.gpus.get(each.address, runtime) != runtime]
    if torn:
        mend = f"${{EDITOR:-vi}} {survey.config.path}  # give the GPUs of a group to one runtime"
        seen += f", which belongs to the runtime '{survey.gpus[torn[0].address]}'"
        return Finding(name=name, status=FAIL, seen=seen, why=GROUP_WHY, mend=mend)
    strangers = [each for each in companions if _is_stranger(survey, device, each)]
    if strangers:
        used = ", ".join(each.address for each in strangers)
        mend = f"{FIRMWARE}  # turn ACS on, or put the card into another slot: the host uses {used}"
        return Finding(name=name, status=FAIL, seen=seen, why=GROUP_WHY, mend=mend)
    return Finding(name=name, status=OK, seen=seen, why=GROUP_WHY)


def _is_stranger(survey: Survey, device: PciDevice, other: PciDevice) -> bool:
    """Tell whether the host uses another card of the group: the GPU's own functions come along."""
    cards = {device.card, *(address.rpartition(".")[0] for address in survey.gpus)}
    return other.blocks_group and other.card not in cards


def _check_binding(survey: Survey, device: PciDevice) -> Finding:
    """Look which driver has a GPU and what comes along with it."""
    name, why = f"vfio-binding {device.address}", "a guest is given what vfio-pci has"
    sysfs = survey.machine.sysfs
    bound = (device, *find_companions(device, sysfs))
    wrong = [each for each in bound if each.blocks_group]
    if device.on_vfio and not wrong:
        return _check_permission(survey, device)
    seen = ", ".join(_describe(each) for each in wrong or (device,))
    mend = survey.prepare()
    if any(each.driver == "nvidia" for each in wrong) and _runs(survey, "nvidia-persiste"):
        mend = f"sudo systemctl stop nvidia-persistenced && {mend}"
        seen += ", held by nvidia-persistenced"
    if device.boot_vga and device.driver not in {"", "vfio-pci"}:
        seen += "; the firmware's display is on it"
        why += ", and the console goes dark with it"
    return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)


def _check_permission(survey: Survey, device: PciDevice) -> Finding:
    """Look whether the guests' user may open the file of a GPU's group."""
    name, why = f"vfio-binding {device.address}", "the VMM opens the group's file as its user"
    user, path = survey.config.common.user, f"/dev/vfio/{device.group}"
    seen = f"{device.driver}, {path}"
    uid = survey.find_uid(user)
    try:
        owner = os.stat(f"{survey.machine.root}{path}").st_uid
    except OSError:
        return Finding(name=name, status=OK, seen=device.driver, why=why)
    if user == "root" or uid is None or owner == uid:
        return Finding(name=name, status=OK, seen=seen, why=why)
    seen += f" is not the file of '{user}'"
    rule = f'echo \'SUBSYSTEM=="vfio", OWNER="{user}"\''
    mend = f"{rule} | sudo tee /etc/udev/rules.d/70-vllmd.rules && sudo udevadm trigger -s vfio"
    return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)


def _check_node(survey: Survey, device: PciDevice) -> Finding:
    """Say which NUMA node a GPU is near to, and whether its runtime's others are there too."""
    name = f"numa-node {device.address}"
    why = "memory of another node is slower to reach for the GPU"
    nodes = survey.names("/sys/devices/system/node")
    count = len([each for each in nodes if each.startswith("node") and each[4:].isdigit()])
    if count <= 1:
        return Finding(name=name, status=OK, seen="the machine has one node", why=why)
    if device.numa_node < 0:
        mend = f"{FIRMWARE}  # and turn NUMA (SRAT) on there"
        seen = "the firmware does not say"
        return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)
    cpus = survey.read(f"/sys/devices/system/node/node{device.numa_node}/cpulist").strip()
    seen = f"node {device.numa_node}, with the CPUs {cpus}"
    runtime = survey.gpus[device.address]
    others = (find_device(gpu, survey.machine.sysfs) for gpu, owner in survey.gpus.items()
              if owner == runtime)  # fmt: skip
    far = [each.address for each in others if each and each.numa_node != device.numa_node]
    if far:
        seen += f"; other than {', '.join(far)} of the same runtime"
        mend = f"${{EDITOR:-vi}} {survey.config.path}  # give a runtime the GPUs of one node"
        return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)
    return Finding(name=name, status=OK, seen=seen, why=why)


def check_amd_hole(survey: Survey) -> tuple[Finding, ...]:
    """Warn where a guest with a GPU is too large for the addresses of an AMD IOMMU."""
    if survey.vendor != AMD:
        return ()
    runtimes = survey.config.runtimes
    large = [each.name for each in runtimes if has_devices(each) and memory_of(each) > AMD_LIMIT]
    if not large:
        return ()
    return (
        Finding(
            name="amd-address-hole",
            status=WARN,
            seen=f"more than 1000 GB for {', '.join(large)}",
            why="AMD's IOMMU never maps the 12 GiB below 1 TiB, and such a guest reaches into them",
            mend=f"${{EDITOR:-vi}} {survey.config.path}  # memory_gb = 1000 at most",
        ),
    )


def _is_lost(device: PciDevice) -> bool:
    """Tell whether a card has fallen off its bus: every byte reads as ones then."""
    try:
        with open(f"{device.path}/config", "rb") as file:
            return file.read(2) == b"\xff\xff"
    except OSError:
        return False


def _describe(device: PciDevice) -> str:
    return f"{device.address} ({device.driver or 'no driver'})"


def _runs(survey: Survey, comm: str) -> bool:
    """Tell whether a process runs, by its name (the kernel keeps 15 letters of it)."""
    pids = (name for name in survey.names("/proc") if name.isdigit())
    return any(survey.read(f"/proc/{pid}/comm").strip() == comm for pid in pids)
