"""Hold a guest against this machine: its files and devices, and what `resources` looks at.

Nothing is changed here. Every problem goes to the reader, with the variable it is about.
"""

from __future__ import annotations

import os
import stat
from functools import partial

from launcher.config.reader import Refusal
from launcher.errors import LauncherError
from launcher.hypervisor import read
from launcher.hypervisor.guest.manifest import find_manifest
from launcher.hypervisor.images import find_contradiction, is_firmware, is_locked
from launcher.hypervisor.pci import SYSFS, find_blocking, resolve_device
from launcher.hypervisor.resources import examine_resources
from launcher.hypervisor.rundir import SOCKET_PATH_BYTES, is_too_long
from launcher.hypervisor.waiting import stays
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.environment import EnvironmentReader
    from launcher.hypervisor.model import Disk, VmSpec
    from launcher.hypervisor.pci import PciDevice
    from launcher.hypervisor.rundir import RunDir

BUILD_HINT = "build one with: vllmd-hypervisor image build --output guest/"
SEED_HINT = "write one with: vllmd-hypervisor generate-init"
DEFAULT_CMDLINE = "console=ttyS0 root=/dev/vda rw"
DYING_S = 2.0  # how long a killed VMM may hold on to an image


def examine(spec: VmSpec, rundir: RunDir, reader: EnvironmentReader, sysfs: str = SYSFS) -> VmSpec:
    """Return the guest with what this machine knows of it; note every problem."""
    spec = _take_manifest(spec, reader)
    firmware = _examine_file(reader, read.KERNEL, spec.kernel, BUILD_HINT) and is_firmware(
        spec.kernel
    )
    if spec.initramfs:
        _examine_file(reader, read.INITRAMFS, spec.initramfs, BUILD_HINT)
    _examine_disk(reader, read.SYSTEM, spec.system_image, BUILD_HINT)
    _examine_disk(reader, read.CONFIG, spec.config_image, SEED_HINT)
    _examine_twins(spec, reader)
    devices = _examine_devices(spec, reader, sysfs)
    examine_resources(spec, reader, sysfs)
    _examine_log(spec, reader)
    if is_too_long(rundir):
        reader.refuse(
            read.NAME,
            f"sockets in '{rundir.path}' would have paths of more than {SOCKET_PATH_BYTES} bytes",
            "give the guest a shorter name, or set XDG_RUNTIME_DIR to a shorter folder",
        )
    return replace(spec, firmware=firmware, devices=tuple(each.path for each in devices))


def _take_manifest(spec: VmSpec, reader: EnvironmentReader) -> VmSpec:
    """Fill in what `image build` has said about its image."""
    try:
        manifest = find_manifest(spec.system_image.path) if spec.system_image.path else None
    except LauncherError as error:
        reader.refuse(read.SYSTEM, error.message, error.hint)
        return spec
    if manifest is None:
        return replace(spec, cmdline=spec.cmdline or DEFAULT_CMDLINE)
    same = os.path.realpath(manifest.kernel) == os.path.realpath(spec.kernel)
    return replace(
        spec,
        reports=True,
        cmdline=spec.cmdline or manifest.cmdline,
        initramfs=spec.initramfs or (manifest.initramfs if same else ""),
        system_image=replace(spec.system_image, readonly=manifest.readonly),
    )


def _examine_file(reader: EnvironmentReader, name: str, path: str, hint: str) -> bool:
    """Tell whether there is something to read in a file."""
    if not path:
        return False  # said already: the variable is required
    problem = _find_file_problem(path)
    if problem == "does not exist":
        reader.refuse(name, f"'{path}' does not exist", hint)
    elif problem:
        mend = f"let this user read it: chmod u+r '{path}'" if "permission" in problem else hint
        reader.refuse(name, f"'{path}' {problem}", mend)
    return not problem


def _find_file_problem(path: str) -> str:
    try:
        with open(path, "rb", opener=_open_now) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
                return "is not a file"
            return "" if file.read(1) else "is empty"
    except FileNotFoundError:
        return "does not exist"
    except IsADirectoryError:
        return "is a folder"
    except OSError as error:
        return f"cannot be read: {(error.strerror or '').lower()}"


def _open_now(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe has to be told, not waited for


def _examine_disk(reader: EnvironmentReader, name: str, disk: Disk, hint: str) -> None:
    if not _examine_file(reader, name, disk.path, hint):
        return
    if not disk.readonly and not os.access(disk.path, os.W_OK):
        reader.refuse(
            name,
            f"'{disk.path}' cannot be written by this user",
            f"let this user write it: sudo chown $USER '{disk.path}'",
        )
        return
    contradiction = find_contradiction(disk)
    if contradiction:
        reader.refuse(name, *contradiction)
    if stays(partial(is_locked, disk), DYING_S):
        reader.refuse(
            name,
            f"'{disk.path}' is in use by another guest",
            "stop that guest, or give this one an image of its own",
        )


def _examine_twins(spec: VmSpec, reader: EnvironmentReader) -> None:
    system, config = spec.system_image.path, spec.config_image.path
    if system and os.path.realpath(system) == os.path.realpath(config):
        reader.refuse(read.CONFIG, "the system image and the config image are the same", SEED_HINT)


def _examine_devices(spec: VmSpec, reader: EnvironmentReader, sysfs: str) -> tuple[PciDevice, ...]:
    found: dict[str, PciDevice] = {}
    for text in spec.devices:
        try:
            devices = resolve_device(text, sysfs)
        except Refusal as refusal:
            reader.refuse(read.DEVICES, refusal.message, refusal.hint)
            continue
        for device in devices:
            if device.address in found:
                reader.refuse(
                    read.DEVICES,
                    f"'{text}' means {device.address}, which is in the list already",
                    "name each device once",
                )
            else:
                found[device.address] = device
                _examine_device(reader, device, sysfs)
    return tuple(found.values())


def _examine_device(reader: EnvironmentReader, device: PciDevice, sysfs: str) -> None:
    """Hold the kernel's rule: a group is given away as a whole, or not at all."""
    address = device.address
    if not device.group:
        reader.refuse(
            read.DEVICES,
            f"{address} is in no IOMMU group",
            "turn the IOMMU on: in the firmware, and with intel_iommu=on on Intel's CPUs",
        )
        return
    if not device.on_vfio:
        reader.refuse(
            read.DEVICES,
            f"{address} is not bound to vfio-pci but to {device.driver or 'no driver'}",
            "list it in the host's file and run: sudo vllmd-hypervisor initialize",
        )
    for other in find_blocking(device, sysfs):
        if other.address != address:
            reader.refuse(
                read.DEVICES,
                f"{other.address} is in the IOMMU group of {address} and bound to {other.driver}",
                f"bind the whole group {device.group} to vfio-pci",
            )


def _examine_log(spec: VmSpec, reader: EnvironmentReader) -> None:
    """Tell now if the log cannot be written: later, the guest would run without one."""
    path = spec.log_path
    if path in read.STREAMS:
        return
    if os.path.lexists(path):
        is_ours = os.path.isfile(path) and not os.path.islink(path) and os.access(path, os.W_OK)
        problem = "" if is_ours else "is not a regular file that this user can write"
    else:
        folder = os.path.dirname(os.path.abspath(path))
        while not os.path.exists(folder):
            folder = os.path.dirname(folder)
        writable = os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)
        problem = "" if writable else f"cannot be made: '{folder}' is not writable for this user"
    if problem:
        reader.refuse(read.LOG, f"'{path}' {problem}", "give another path, or /dev/stdout")
