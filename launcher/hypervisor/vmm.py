"""Start the program that runs a guest."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess

from launcher.errors import StartError
from launcher.hypervisor.identity import find_identity
from launcher.process.orphans import end_with_parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.hypervisor.identity import Identity

OURS = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")  # systemd hears from us alone


def _prepare(parent: int) -> None:
    """In the child, before its exec: may lock what we may, and ends with us if it has to."""
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    if parent:
        end_with_parent(parent)


class VmmProcess:
    """A process of our own: in its own session, so that Ctrl-C does not cut the guest's power.

    It reads nothing, and writes into `output`, a descriptor to read from.
    """

    def __init__(
        self, argv: tuple[str, ...], environ: Mapping[str, str], *, outlives_us: bool
    ) -> None:
        """Start it; unless it may outlive us, it ends with us, even if we are killed.

        Raises:
            StartError: it could not be started.
        """
        parent = os.getpid()
        self.output, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                argv,
                env={name: text for name, text in environ.items() if name not in OURS},
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
                # There is no thread yet that could hold a lock over the fork.
                preexec_fn=lambda: _prepare(0 if outlives_us else parent),  # noqa: PLW1509
            )
        except OSError as error:
            os.close(self.output)
            reason = (error.strerror or "").lower()
            raise StartError(
                f"'{argv[0]}' cannot be started: {reason}", "install it again"
            ) from None
        finally:
            os.close(writing)
        os.set_blocking(self.output, False)
        self.descriptor = os.pidfd_open(self._process.pid)

    @property
    def identity(self) -> Identity | None:
        """Who it is; None once it has ended."""
        return find_identity(self._process.pid)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended needs none."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, number)

    def poll(self) -> int | None:
        """Return its exit code, or minus the signal that ended it; None while it runs."""
        return self._process.poll()

    def close(self) -> None:
        """Close the descriptors; the process has ended."""
        os.close(self.output)
        os.close(self.descriptor)
