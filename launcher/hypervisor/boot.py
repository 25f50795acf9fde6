"""Boot a guest without waiting for it: with devices that takes minutes, and Ctrl-C should work."""

from __future__ import annotations

import os
import threading

from launcher.hypervisor.backend import VmmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.backend import Booted, Vmm


class Boot:
    """Runs `Vmm.boot` in a thread; `descriptor` becomes readable when there is a result."""

    def __init__(self, vmm: Vmm, deadline_s: float) -> None:
        self.descriptor, self._writing = os.pipe()
        self._booted: Booted | None = None
        self._error: VmmError | None = None
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(vmm, deadline_s), daemon=True)
        self._thread.start()

    def result(self) -> Booted:
        """Return the guest that runs, once `descriptor` is readable.

        Raises:
            VmmError: it could not be booted.
        """
        self._thread.join()
        if self._booted is None:
            raise self._error or VmmError("the boot was given up")
        return self._booted

    def close(self) -> None:
        """Give up on it; the VMM has ended, so that whatever the thread waits for fails."""
        self._given_up.set()
        self._thread.join()
        os.close(self.descriptor)
        os.close(self._writing)

    def _run(self, vmm: Vmm, deadline_s: float) -> None:
        try:
            self._booted = vmm.boot(deadline_s, lambda: not self._given_up.is_set())
        except VmmError as error:
            self._error = error
        os.write(self._writing, b".")
