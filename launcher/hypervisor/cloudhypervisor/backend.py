"""A Cloud Hypervisor that runs, seen as a `Vmm`."""

from __future__ import annotations

import socket

from launcher.hypervisor import rundir as names
from launcher.hypervisor.backend import (
    CREATED,
    PAUSED,
    RUNNING,
    Booted,
    VmInfo,
    VmmRefusalError,
    VmmSilentError,
)
from launcher.hypervisor.cloudhypervisor.answers import (
    CloudHypervisorEvents,
    NotCreatedError,
    read_state,
)
from launcher.hypervisor.cloudhypervisor.client import get, put
from launcher.hypervisor.cloudhypervisor.versions import clean_version
from launcher.hypervisor.waiting import retry_until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.hypervisor.rundir import RunDir

# Each takes milliseconds; a machine may be busy, and a VMM that ends hangs up at once.
COME_UP_S = 30.0  # from exec to the first answer
CREATE_S = 30.0  # only parses and opens the consoles
TALK_S = 30.0


class CloudHypervisorVmm:
    """Talks to the API socket. Only `boot` needs the `payload`, a VmConfig as JSON text."""

    def __init__(self, rundir: RunDir, payload: str = "") -> None:
        self._api = rundir.file(names.API)
        self._console = rundir.file(names.CONSOLE)
        self._payload = payload

    def boot(self, deadline_s: float, wanted: Callable[[], bool]) -> Booted:
        """Describe the guest, and have it booted.

        There is no second try within one process: a config that was refused halfway stays.
        """
        retry_until(self._ping, VmmSilentError, min(COME_UP_S, deadline_s), wanted)
        put(self._api, "vm.create", CREATE_S, self._payload)
        console = self._connect_console()  # before the guest says its first word
        try:
            # The whole config is checked here, devices are opened, memory may be pinned.
            put(self._api, "vm.boot", deadline_s)
            info = _require_running(self.info(TALK_S))
        except BaseException:
            console.close()
            raise
        return Booted(info=info, console=console)

    def info(self, deadline_s: float) -> VmInfo:
        """Ask how the guest is."""
        version = self._ping(deadline_s)
        try:
            state = read_state(get(self._api, "vm.info", deadline_s))
        except NotCreatedError:
            state = CREATED
        return VmInfo(state=state, version=version)

    def press_button(self, deadline_s: float) -> None:
        """Press the power button; a paused guest is resumed, so that it hears."""
        if self.info(deadline_s).state == PAUSED:
            put(self._api, "vm.resume", deadline_s)
        put(self._api, "vm.power-button", deadline_s)

    def quit(self, deadline_s: float) -> None:
        """Cut the guest's power and end the process."""
        put(self._api, "vmm.shutdown", deadline_s)

    def decoder(self) -> CloudHypervisorEvents:
        """Return what understands the event monitor."""
        return CloudHypervisorEvents()

    def _ping(self, deadline_s: float) -> str:
        """Return the version."""
        answer = get(self._api, "vmm.ping", deadline_s)
        return clean_version(str(answer.get("version") or answer.get("build_version", "")))

    def _connect_console(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            client.connect(self._console)
        except OSError as error:
            client.close()
            reason = (error.strerror or "").lower()
            raise VmmSilentError(f"the guest's console cannot be reached: {reason}") from None
        return client


def _require_running(info: VmInfo) -> VmInfo:
    if info.state not in {RUNNING, PAUSED}:
        raise VmmRefusalError(f"cloud-hypervisor: the guest is {info.state} after its boot")
    return info
