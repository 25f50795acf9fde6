"""A QEMU that runs, seen as a `Vmm`."""

from __future__ import annotations

from launcher.hypervisor.backend import PAUSED, VmInfo, VmmSilentError
from launcher.hypervisor.qemu.client import Monitor
from launcher.hypervisor.qemu.qmp import read_state
from launcher.hypervisor.rundir import CONTROL
from launcher.hypervisor.waiting import retry_until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.rundir import RunDir


class QemuVmm:
    """Talks to the second monitor: the first is the supervisor's."""

    def __init__(self, rundir: RunDir) -> None:
        self._path = rundir.file(CONTROL)

    def boot(self, deadline_s: float) -> VmInfo:
        """Wait until the monitor answers: QEMU boots its guest unasked."""
        return retry_until(lambda left_s: self.info(left_s), VmmSilentError, deadline_s)

    def info(self, deadline_s: float) -> VmInfo:
        """Ask how the guest is."""
        with Monitor(self._path, deadline_s) as monitor:
            state = read_state(monitor.ask("query-status"))
            return VmInfo(state=state, version=monitor.version)

    def press_button(self, deadline_s: float) -> None:
        """Press the power button; a paused guest is resumed, so that it hears."""
        with Monitor(self._path, deadline_s) as monitor:
            if read_state(monitor.ask("query-status")) == PAUSED:
                monitor.ask("cont")
            monitor.ask("system_powerdown")

    def quit(self, deadline_s: float) -> None:
        """Cut the guest's power and end the process."""
        with Monitor(self._path, deadline_s) as monitor:
            monitor.ask("quit")
