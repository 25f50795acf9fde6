"""A QEMU that runs, seen as a `Vmm`."""

from __future__ import annotations

from contextlib import closing

from launcher.hypervisor.backend import PAUSED, Booted, Event, VmInfo, VmmSilentError
from launcher.hypervisor.qemu.client import Monitor
from launcher.hypervisor.qemu.qmp import Decoder, read_event, read_state
from launcher.hypervisor.rundir import CONTROL, MONITOR
from launcher.hypervisor.waiting import retry_until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.hypervisor.rundir import RunDir


class QemuVmm:
    """Talks to the second monitor: the first is the supervisor's."""

    def __init__(self, rundir: RunDir) -> None:
        self._path = rundir.file(CONTROL)
        self._events_path = rundir.file(MONITOR)

    def boot(self, deadline_s: float, wanted: Callable[[], bool]) -> Booted:
        """Wait until both monitors answer: QEMU boots its guest unasked."""
        info = retry_until(self.info, VmmSilentError, deadline_s, wanted)
        # If QEMU ends meanwhile, it hangs up.
        events = Monitor(self._events_path, deadline_s).detach()
        return Booted(info=info, events=events)

    def info(self, deadline_s: float) -> VmInfo:
        """Ask how the guest is."""
        with closing(Monitor(self._path, deadline_s)) as monitor:
            state = read_state(monitor.ask("query-status"))
            return VmInfo(state=state, version=monitor.version)

    def press_button(self, deadline_s: float) -> None:
        """Press the power button; a paused guest is resumed, so that it hears."""
        with closing(Monitor(self._path, deadline_s)) as monitor:
            if read_state(monitor.ask("query-status")) == PAUSED:
                monitor.ask("cont")
            monitor.ask("system_powerdown")

    def quit(self, deadline_s: float) -> None:
        """Cut the guest's power and end the process."""
        with closing(Monitor(self._path, deadline_s)) as monitor:
            monitor.ask("quit")

    def decoder(self) -> QemuEvents:
        """Return what understands QMP's events."""
        return QemuEvents()


class QemuEvents:
    """Bytes of the first monitor in, events out."""

    def __init__(self) -> None:
        self._decoder = Decoder()

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are whole now.

        Raises:
            VmmSilentError: this is not QMP.
        """
        found = (read_event(message) for message in self._decoder.feed(data))
        return [event for event in found if event is not None]
