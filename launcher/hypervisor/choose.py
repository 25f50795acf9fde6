"""Which program runs a guest, with which accelerator, and why. Pure."""

from __future__ import annotations

from launcher.errors import HostError
from launcher.hypervisor.model import AUTO, CLOUD_HYPERVISOR, KVM, QEMU, TCG
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.kvm import KvmState
    from launcher.hypervisor.model import VmSpec

GROUP_HINT = "add this user to its group: sudo usermod -aG kvm $USER, and log in again"
INSTALL_QEMU = "install it: sudo apt-get install qemu-system-x86"
INSTALL_CH = "install a release of cloud-hypervisor on PATH, or set VLLMD_HYPERVISOR_BACKEND=qemu"


@record
class Tools:
    """What this machine offers: the paths of the two programs, empty where missing, and KVM."""

    qemu: str
    cloud_hypervisor: str
    kvm: KvmState


@record
class Choice:
    """What was chosen. `why` is for people."""

    backend: str
    accelerator: str
    program: str
    why: str


def choose(spec: VmSpec, tools: Tools) -> Choice:
    """Choose for a guest.

    Raises:
        HostError: this machine cannot run it as asked; the hint says what mends that.
    """
    _require_programs(spec, tools)
    if tools.kvm.denied and spec.accelerator != TCG:
        raise HostError(tools.kvm.reason, GROUP_HINT)
    if spec.backend == QEMU or spec.accelerator == TCG:
        return _choose_qemu(spec, tools, "asked for" if spec.backend == QEMU else "it emulates")
    if spec.backend == CLOUD_HYPERVISOR:
        _require_kvm(spec, tools, "cloud-hypervisor needs KVM")
        return Choice(
            backend=CLOUD_HYPERVISOR,
            accelerator=KVM,
            program=tools.cloud_hypervisor,
            why="asked for",
        )
    obstacle = _find_obstacle(spec, tools)
    if obstacle:
        return _choose_qemu(spec, tools, obstacle)
    return Choice(
        backend=CLOUD_HYPERVISOR,
        accelerator=KVM,
        program=tools.cloud_hypervisor,
        why="it is installed, and KVM works",
    )


def _require_programs(spec: VmSpec, tools: Tools) -> None:
    if spec.backend == QEMU and not tools.qemu:
        raise HostError("QEMU is not on PATH", INSTALL_QEMU)
    if spec.backend == CLOUD_HYPERVISOR and not tools.cloud_hypervisor:
        raise HostError("'cloud-hypervisor' is not on PATH", INSTALL_CH)
    if spec.backend == CLOUD_HYPERVISOR and spec.accelerator == TCG:
        raise HostError(
            "cloud-hypervisor does not emulate a CPU",
            "set VLLMD_HYPERVISOR_BACKEND=qemu, or VLLMD_HYPERVISOR_ACCEL=kvm",
        )
    if not tools.qemu and not tools.cloud_hypervisor:
        raise HostError("neither 'cloud-hypervisor' nor QEMU is on PATH", INSTALL_QEMU)


def _find_obstacle(spec: VmSpec, tools: Tools) -> str:
    """Return why it cannot be Cloud Hypervisor; empty where it can."""
    if not tools.cloud_hypervisor:
        return "'cloud-hypervisor' is not on PATH"
    if not tools.kvm.works:
        return "cloud-hypervisor needs KVM"
    if spec.network.kind == "user" or (spec.network.publish and not spec.network.kind):
        return "published ports and the network 'user' are QEMU's"
    return ""


def _choose_qemu(spec: VmSpec, tools: Tools, why: str) -> Choice:
    if not tools.qemu:
        raise HostError(f"QEMU is not on PATH, and {why}", INSTALL_QEMU)
    if spec.accelerator == TCG:
        return Choice(backend=QEMU, accelerator=TCG, program=tools.qemu, why=why)
    if spec.accelerator == KVM:
        _require_kvm(spec, tools, "KVM is asked for")
    if tools.kvm.works:
        return Choice(backend=QEMU, accelerator=KVM, program=tools.qemu, why=f"{why}; KVM works")
    if spec.devices:
        raise HostError(
            f"devices cannot be given to an emulated guest: {tools.kvm.reason}",
            "see 'vllmd-hypervisor precheck' for what this machine lacks",
        )
    reason = f"{why}; emulated, which is slow: {tools.kvm.reason}"
    return Choice(backend=QEMU, accelerator=TCG, program=tools.qemu, why=reason)


def _require_kvm(spec: VmSpec, tools: Tools, wish: str) -> None:
    """Insist on KVM; with `kvm` the operator vouches for it, and only the device has to open."""
    if not tools.kvm.works:
        vouch = "" if spec.accelerator == KVM else ", or VLLMD_HYPERVISOR_ACCEL=kvm to try anyway"
        raise HostError(
            f"{wish}, and it does not work: {tools.kvm.reason}",
            f"set VLLMD_HYPERVISOR_BACKEND=qemu with VLLMD_HYPERVISOR_ACCEL=tcg to emulate{vouch}",
        )


def needs_proof(spec: VmSpec) -> bool:
    """Tell whether KVM has to be proven: not where it is not wanted, or vouched for."""
    return spec.accelerator == AUTO
