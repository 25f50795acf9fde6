"""What the supervisor, `stop` and `status` need of a program that runs guests. Values and protocols.

A backend turns a guest into a command line (`plan`) without touching anything. Its `Vmm` talks to
the process that came of it: each call opens a connection of its own and takes a deadline, so any
number of programs may ask at the same time.
"""

from __future__ import annotations

from launcher.errors import HostError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
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
class Launch:
    """How to start a VMM.

    `argv` is the command line. The VMM connects to the sockets in `listen`, which have to be
    listened on before it starts; we connect to those in `console` and `events`, where they are
    not empty, as soon as they are there. `payload` is what it is told after its start, for show.
    """

    argv: tuple[str, ...]
    console_listens: bool = False  # we listen for the console; else the VMM does
    report_path: str = ""  # where we listen for the guest's reports
    payload: str = ""


if TYPE_CHECKING:

    class Vmm(Protocol):
        """A VMM that has been started. Deadlines are in seconds from now.

        Each raises `VmmSilentError` or `VmmRefusalError`.
        """

        def boot(self, deadline_s: float) -> VmInfo:
            """Have the guest booted, from a process that has just been started."""

        def info(self, deadline_s: float) -> VmInfo:
            """Ask how the guest is."""

        def press_button(self, deadline_s: float) -> None:
            """Press the power button; a paused guest is resumed, so that it hears."""

        def quit(self, deadline_s: float) -> None:
            """Cut the guest's power and end the process."""
