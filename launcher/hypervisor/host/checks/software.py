"""Programs and files: what runs a guest, what it boots from, and where its state goes."""

from __future__ import annotations

import os

from launcher.errors import HostError
from launcher.hypervisor.host.checks.survey import GIB
from launcher.hypervisor.host.findings import FAIL, OK, SKIP, WARN, Finding
from launcher.hypervisor.host.install import find_guest_files
from launcher.hypervisor.images import is_locked
from launcher.hypervisor.model import Disk
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.checks.survey import Survey
    from launcher.hypervisor.host.machine import Program
    from launcher.hypervisor.host.model import Runtime

# The oldest that we speak with: see docs/hypervisor.md.
OLDEST_CLOUD_HYPERVISOR = (40,)
OLDEST_QEMU = (6, 2)
RELEASES = "https://github.com/cloud-hypervisor/cloud-hypervisor/releases"
PROGRAM_WHY = "one of Cloud Hypervisor and QEMU has to be there: it runs the guests"
LEAST_BYTES, ENOUGH_BYTES = GIB, 10 * GIB


def check_cloud_hypervisor(survey: Survey) -> Finding:
    """Look for Cloud Hypervisor, and how old it is."""
    program = survey.machine.cloud_hypervisor
    mend = f"sudo install -m 755 cloud-hypervisor-static /usr/local/bin/cloud-hypervisor  # from {RELEASES}"  # noqa: E501  (one command)
    return _check_program(program, survey.machine.qemu, OLDEST_CLOUD_HYPERVISOR, mend)


def check_qemu(survey: Survey) -> Finding:
    """Look for QEMU, and how old it is."""
    program = survey.machine.qemu
    package = "qemu-system-arm" if program.name.endswith("aarch64") else "qemu-system-x86"
    mend = survey.install(package)
    return _check_program(program, survey.machine.cloud_hypervisor, OLDEST_QEMU, mend)


def _check_program(program: Program, other: Program, oldest: tuple[int, ...], mend: str) -> Finding:
    if not program.path:
        status = WARN if other.path else FAIL
        seen = "not on PATH" + (f"; {other.name} is" if other.path else "")
        return Finding(name=program.name, status=status, seen=seen, why=PROGRAM_WHY, mend=mend)
    seen = f"{program.version or 'version unknown'}, {program.path}"
    if program.version and program.numbers < oldest:
        seen += f"; older than {'.'.join(map(str, oldest))}"
        return Finding(name=program.name, status=WARN, seen=seen, why=PROGRAM_WHY, mend=mend)
    return Finding(name=program.name, status=OK, seen=seen, why=PROGRAM_WHY)


def check_files(survey: Survey) -> tuple[Finding, ...]:
    """Look for the kernel, the images and the configuration of each runtime."""
    return tuple(_check_runtime(survey, runtime) for runtime in survey.config.runtimes)


def _check_runtime(survey: Survey, runtime: Runtime) -> Finding:
    name, why, root = f"files {runtime.name}", "the guest boots from them", survey.machine.root
    build = f"vllmd-hypervisor image build --output {survey.config.common.state_dir}/guest"
    try:
        image, files = _find_files(survey, runtime)
    except HostError as error:
        return Finding(name=name, status=FAIL, seen=error.message, why=why, mend=build)
    missing = [path for path in files if not os.path.isfile(f"{root}{path}")]
    if missing:
        mend = f"ls -l {missing[0]}" if runtime.guest.image else build
        seen = f"not there: {', '.join(missing)}"
        return Finding(name=name, status=FAIL, seen=seen, why=why, mend=mend)
    closed = [path for path in files if not os.access(f"{root}{path}", os.R_OK)]
    if closed:
        mend = f"sudo chown {survey.config.common.user} {' '.join(closed)}"
        seen = f"not readable: {', '.join(closed)}"
        return Finding(name=name, status=FAIL, seen=seen, why=why, mend=mend)
    if survey.machine.is_here and is_locked(replace(image, path=f"{root}{image.path}")):
        seen = f"{image.path} is in use: the guest may run"
        mend = f"VLLMD_HYPERVISOR_NAME={runtime.name} vllmd-hypervisor status"
        return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)
    seed = runtime.seed_path(survey.config.common.state_dir)
    if not survey.machine.exists(seed):
        seen, mend = f"there is no {seed} yet", "vllmd-hypervisor generate-init"
        return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)
    return Finding(name=name, status=OK, seen=", ".join(files), why=why)


def _find_files(survey: Survey, runtime: Runtime) -> tuple[Disk, tuple[str, ...]]:
    """Return the system image of a runtime, and all files that it boots from.

    Raises:
        HostError: the manifest of its image cannot be read.
    """
    root, common = survey.machine.root, survey.config.common
    there = replace(common, state_dir=f"{root}{common.state_dir}")
    found = find_guest_files(replace(survey.config, common=there), runtime)
    paths = (found.kernel, found.image, found.initramfs, runtime.guest.config)
    image, *rest = (path.removeprefix(root) for path in (found.image, *paths))
    return Disk(path=image, readonly=found.readonly), tuple(path for path in rest if path)


def check_disk(survey: Survey) -> Finding:
    """Look how much room the state folder has, and whether it can be written."""
    folder = survey.config.common.state_dir
    name, why = "disk-space", "logs, seed disks and images of the guests go to the state folder"
    existing = folder
    while not survey.machine.exists(existing) and existing != "/":
        existing = os.path.dirname(existing)
    room = os.statvfs(f"{survey.machine.root}{existing}")
    free = room.f_bavail * room.f_frsize
    seen = f"{free / GIB:.1f} GiB free for {folder}"
    mend = f"du -xh --max-depth=2 {existing} | sort -h | tail  # and make room"
    if free < ENOUGH_BYTES:
        status = FAIL if free < LEAST_BYTES else WARN
        return Finding(name=name, status=status, seen=seen, why=why, mend=mend)
    user = survey.config.common.user
    is_self = survey.machine.is_here and user == survey.machine.account.user
    if is_self and not os.access(f"{survey.machine.root}{existing}", os.W_OK | os.X_OK):
        seen += f"; '{user}' may not write to {existing}"
        mend = f"sudo install -d -m 700 -o {user} {folder}"
        return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)
    return Finding(name=name, status=OK, seen=seen, why=why)


def check_systemd(survey: Survey) -> Finding:
    """Look whether systemd runs here."""
    name, why = "systemd", "install-systemd makes guests start with the machine"
    if survey.machine.exists("/run/systemd/system"):
        return Finding(name=name, status=OK, seen="it runs", why=why)
    if survey.is_container:
        return Finding(name=name, status=SKIP, seen="not in this container", why=why)
    seen = "it does not run"
    mend = "vllmd-hypervisor start  # under another supervisor: it stays in the foreground"
    return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)
