"""The two backends by their names."""

from __future__ import annotations

import os

from launcher.hypervisor.choose import Tools, needs_proof
from launcher.hypervisor.cloudhypervisor.payload import (
    find_cloud_hypervisor_gaps,
    plan_cloud_hypervisor,
)
from launcher.hypervisor.cloudhypervisor.versions import clean_version
from launcher.hypervisor.kvm import KvmState, open_kvm, probe_kvm
from launcher.hypervisor.model import CLOUD_HYPERVISOR, KVM
from launcher.hypervisor.programs import find_program
from launcher.hypervisor.qemu.argv import PROGRAMS, find_qemu_gaps, plan_qemu
from launcher.hypervisor.qemu.backend import QemuVmm
from launcher.hypervisor.rundir import find_rundirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.hypervisor.backend import Launch, Vmm
    from launcher.hypervisor.choose import Choice
    from launcher.hypervisor.model import VmSpec
    from launcher.hypervisor.rundir import RunDir

VERSION_S = 30.0  # for a program to say its version; a machine may be busy


def gather_tools(spec: VmSpec, environ: Mapping[str, str]) -> Tools:
    """Look what this machine offers; KVM is proven where nobody vouches for it."""
    path = environ.get("PATH", os.defpath)
    machine = os.uname().machine
    qemu = find_program(PROGRAMS.get(machine, "qemu-system-none"), path)
    other = find_program(CLOUD_HYPERVISOR, path)
    kvm = probe_kvm() if needs_proof(spec) else open_kvm()
    if kvm.works and needs_proof(spec) and qemu and machine == "x86_64":
        kvm = _prove(qemu, os.path.dirname(find_rundirs(spec.name, environ)[0].path))
    return Tools(qemu=qemu, cloud_hypervisor=other, kvm=kvm)


def _prove(qemu: str, folder: str) -> KvmState:
    """Have QEMU try, once in the machine's life."""
    from launcher.hypervisor.trial import Proof, try_firmware  # noqa: PLC0415  (not with tcg)

    proof = Proof(folder, qemu)
    reason = "" if proof.holds() else try_firmware(qemu, KVM, "host")
    if not reason:
        proof.keep()
    return KvmState(works=not reason, reason=reason)


def plan_launch(spec: VmSpec, choice: Choice, rundir: RunDir) -> Launch:
    """Return how to start the chosen program for a guest.

    Raises:
        HostError: this program cannot run that guest.
    """
    if choice.backend == CLOUD_HYPERVISOR:
        return plan_cloud_hypervisor(spec, rundir, choice.program)
    return plan_qemu(spec, rundir, choice.accelerator, choice.program, os.uname().machine)


def find_gaps(spec: VmSpec, choice: Choice) -> list[tuple[str, str, str]]:
    """Return what this guest wants and the chosen program has not.

    Each is a variable's name without its prefix, a message and a hint.
    """
    if choice.backend == CLOUD_HYPERVISOR:
        return find_cloud_hypervisor_gaps(spec, ask_version(choice.program))
    return find_qemu_gaps(spec)


def ask_version(program: str) -> str:
    """Return what `cloud-hypervisor --version` says; empty where it says nothing."""
    import subprocess  # noqa: PLC0415  (not for QEMU)

    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return clean_version(done.stdout.decode(errors="replace"))


def connect(backend: str, rundir: RunDir, launch: Launch | None = None) -> Vmm:
    """Return the VMM that runs in a run directory, or is about to, by `launch`."""
    if backend == CLOUD_HYPERVISOR:
        # HTTP comes with TLS and mail headers: a third of the start of a guest in QEMU.
        from launcher.hypervisor.cloudhypervisor.backend import CloudHypervisorVmm  # noqa: PLC0415

        return CloudHypervisorVmm(rundir, launch.payload if launch else "")
    return QemuVmm(rundir)
