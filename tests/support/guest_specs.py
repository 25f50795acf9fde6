"""A guest to vary."""

from __future__ import annotations

from launcher.hypervisor.model import Disk, Memory, Network, VmSpec
from launcher.hypervisor.rundir import RunDir

RUNDIR = RunDir(path="/run/vllmd-hypervisor/chat")
SPEC = VmSpec(
    name="chat",
    kernel="/k",
    initramfs="/i",
    cmdline="console=ttyS0",
    system_image=Disk(path="/s.img"),
    config_image=Disk(path="/c.img", readonly=True),
    cpus=4,
    memory=Memory(size=16 << 30, shared=True),
    network=Network(),
)
