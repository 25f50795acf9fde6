"""What the supervisor, `stop` and `status` need of a program that runs guests. No effects.

A backend turns a guest into a command line (`plan`) without touching anything. Its `Vmm` talks to
the process that came of it: each call opens a connection of its own and takes a deadline, so any
number of programs may ask at the same time.
"""

from __future__ import annotations

from launcher.errors import HostError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Protocol

CREATED, RUNNING, PAUSED, SHUTDOWN, PANICKED = (
    "created",
    "running",
    "paused",
    "shutdown",
    "panicked",
)

# What may come out of a VMM's stream of events: see `Event.kind`.
REBOOT, PANIC, POWERED_OFF = "reboot", "panic", "powered off"


class VmmError(HostError):
    """The program that runs the guest refused, or could not be talked to."""


class VmmSilentError(VmmError):
    """Nothing listens, or no answer came in time: it boots, hangs, or has gone."""


class VmmRefusalError(VmmError):
    """It understood, and refused. The message is its innermost cause."""


@record
class VmInfo:
    """How a VMM says its guest is, and which version it has itself."""

    state: str
    version: str


@record
class Event:
    """Something that happened in the guest: a hint, where the process's end is the truth."""

    kind: str


@record
class Booted:
    """A guest that runs, and the connections that came of booting it, if the VMM needs any."""

    info: VmInfo
    console: socket.socket | None = None
    events: socket.socket | None = None


@record
class Launch:
    """How to start a VMM.

    `listen` are the sockets of the run directory that the VMM, or the guest through it, connects
    to, and that have to be listened on before it starts: for the console, and for reports.
    `pipes` are named pipes that it writes into. `payload` is what it is told once it runs, as
    JSON text.
    """

    argv: tuple[str, ...]
    console: str = ""  # empty: the VMM listens, and `Booted.console` is the connection
    report: str = ""
    pipe: str = ""  # for events; empty: they come by `Booted.events`
    payload: str = ""


if TYPE_CHECKING:

    class EventDecoder(Protocol):
        """Bytes in, events out."""

        def feed(self, data: bytes) -> list[Event]:
            """Return the events that are whole now. Raises `VmmError` for what is none."""

    class Vmm(Protocol):
        """A VMM that has been started. Deadlines are in seconds from now.

        Each raises `VmmSilentError` or `VmmRefusalError`.
        """

        def boot(self, deadline_s: float, wanted: Callable[[], bool]) -> Booted:
            """Have the guest booted, by a process that has just been started.

            It gives up when it is not wanted any more.
            """

        def info(self, deadline_s: float) -> VmInfo:
            """Ask how the guest is."""

        def press_button(self, deadline_s: float) -> None:
            """Press the power button; a paused guest is resumed, so that it hears."""

        def quit(self, deadline_s: float) -> None:
            """Cut the guest's power and end the process."""

        def decoder(self) -> EventDecoder:
            """Return what understands the events of this VMM."""
