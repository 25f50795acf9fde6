"""The two backends by their names."""

from __future__ import annotations

import os
import platform
import shutil

from launcher.hypervisor.choose import Tools, needs_proof
from launcher.hypervisor.kvm import open_kvm, probe_kvm
from launcher.hypervisor.model import CLOUD_HYPERVISOR
from launcher.hypervisor.qemu.argv import PROGRAMS, find_qemu_gaps, plan_qemu
from launcher.hypervisor.qemu.backend import QemuVmm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.hypervisor.backend import Launch, Vmm
    from launcher.hypervisor.choose import Choice
    from launcher.hypervisor.model import VmSpec
    from launcher.hypervisor.rundir import RunDir


def gather_tools(spec: VmSpec, environ: Mapping[str, str]) -> Tools:
    """Look what this machine offers; KVM is proven where nobody vouches for it."""
    path = environ.get("PATH", os.defpath)
    qemu = shutil.which(PROGRAMS.get(platform.machine(), "qemu-system-none"), path=path)
    other = shutil.which(CLOUD_HYPERVISOR, path=path)
    kvm = probe_kvm() if needs_proof(spec) else open_kvm()
    return Tools(qemu=qemu or "", cloud_hypervisor=other or "", kvm=kvm)


def plan_launch(spec: VmSpec, choice: Choice, rundir: RunDir) -> Launch:
    """Return how to start the chosen program for a guest.

    Raises:
        HostError: this program cannot run that guest.
    """
    return plan_qemu(spec, rundir, choice.accelerator, choice.program, platform.machine())


def find_gaps(spec: VmSpec, choice: Choice) -> list[tuple[str, str, str]]:
    """Return what this guest wants and the chosen program has not.

    Each is a variable's name without its prefix, a message and a hint.
    """
    return find_qemu_gaps(spec)


def connect(backend: str, rundir: RunDir, launch: Launch | None = None) -> Vmm:
    """Return the VMM that runs in a run directory, or is about to, by `launch`."""
    return QemuVmm(rundir)
