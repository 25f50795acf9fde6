"""Programs and files: what runs a guest, what it boots from, and where its state goes."""

from __future__ import annotations

import os

from launcher.errors import HostError
from launcher.hypervisor.guest.manifest import MANIFEST_NAME, require_manifest
from launcher.hypervisor.host.checks.survey import GIB
from launcher.hypervisor.host.findings import FAIL, OK, SKIP, WARN, Finding
from launcher.hypervisor.images import is_locked
from launcher.hypervisor.model import Disk

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
    name, why = f"files {runtime.name}", "the guest boots from them"
    built = f"{survey.config.common.state_dir}/guest"
    try:
        files = _files_of(survey, runtime, built)
    except HostError as error:
        return Finding(name=name, status=FAIL, seen=error.message, why=why, mend=_build(built))
    root = survey.machine.root
    missing = [path for path in files.values() if not os.path.isfile(f"{root}{path}")]
    if missing:
        mend = _build(built) if "image" not in _said(runtime) else f"ls -l {missing[0]}"
        seen = f"not there: {', '.join(missing)}"
        return Finding(name=name, status=FAIL, seen=seen, why=why, mend=mend)
    closed = [path for path in files.values() if not os.access(f"{root}{path}", os.R_OK)]
    if closed:
        mend = f"sudo chown {survey.config.common.user} {' '.join(closed)}"
        seen = f"not readable: {', '.join(closed)}"
        return Finding(name=name, status=FAIL, seen=seen, why=why, mend=mend)
    image = files.get("image", "")
    if image and survey.machine.is_here and is_locked(Disk(path=f"{root}{image}")):
        seen = f"{image} is in use: the guest may run"
        mend = f"VLLMD_HYPERVISOR_NAME={runtime.name} vllmd-hypervisor status"
        return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)
    return Finding(name=name, status=OK, seen=", ".join(files.values()), why=why)


def _said(runtime: Runtime) -> dict[str, str]:
    guest = runtime.guest
    paths = {
        "kernel": guest.kernel,
        "image": guest.image,
        "initramfs": guest.initramfs,
        "config": guest.config,
    }
    return {key: path for key, path in paths.items() if path}


def _files_of(survey: Survey, runtime: Runtime, built: str) -> dict[str, str]:
    """Return the files that a runtime boots from: those it names, else those we built.

    Raises:
        HostError: there are none.
    """
    said = _said(runtime)
    if {"kernel", "image"} <= said.keys():
        return said
    if not survey.machine.is_here and survey.machine.exists(f"{built}/{MANIFEST_NAME}"):
        return said  # its paths mean nothing here
    manifest = require_manifest(built)
    files = {"kernel": manifest.kernel, "image": manifest.image, "initramfs": manifest.initramfs}
    return {**files, **said}


def _build(folder: str) -> str:
    return f"vllmd-hypervisor image build --output {folder}"


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
