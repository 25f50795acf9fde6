"""What can happen to a fleet, and what can be done about it. Values only."""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from launcher.process.spec import ExitStatus, ProcessSpec

# Events: what happened.


@record
class Begun:
    """The supervisor is ready to start processes."""


@record
class Spawned:
    """A process runs."""

    name: str
    pid: int
    forked: bool = False  # from a fork server


@record
class SpawnFailed:
    """A process could not be started."""

    name: str
    reason: str


@record
class CalledOff:
    """A start under way was called off in time: there is no process."""

    name: str


@record
class Healthy:
    """A member answered its probe."""

    name: str


@record
class Ended:
    """A member's first process was reaped; `left` tells whether others of its group remain."""

    name: str
    status: ExitStatus
    left: bool = False


@record
class Gone:
    """Nothing is left of a member's group."""

    name: str


@record
class Unhealthy:
    """A ready member failed its liveness probes."""

    name: str
    reason: str


@record
class Linked:
    """A worker's launcher has reached that of its leader: its server may be started."""

    name: str


@record
class Unlinked:
    """A part of the same server on another machine has gone, so this one cannot go on."""

    name: str
    reason: str


@record
class MemoryOwed:
    """A member ended, and the memory of its GPUs may not have been returned yet."""

    name: str


@record
class MemoryReturned:
    """It has been, or is not waited for any longer."""

    name: str


@record
class StartOne:
    """A command: start a member that is stopped or has failed."""

    name: str


@record
class StopOne:
    """A command: stop a member, and leave it so."""

    name: str


@record
class RestartOne:
    """A command: stop a member and start it again."""

    name: str


@record
class Reloaded:
    """New settings: the whole list of instances, in their order."""

    specs: tuple[ProcessSpec, ...]


@record
class StopAsked:
    """SIGTERM, SIGINT or their like arrived; asked twice means now."""


@record
class TimePassed:
    """A deadline may have passed."""


# Actions: what to do.


@record
class Start:
    """Start a member's process."""

    spec: ProcessSpec


@record
class CallOff:
    """Call off a start under way: nobody wants the process any more."""

    name: str


@record
class Terminate:
    """Ask a member to stop: SIGTERM to its first process."""

    name: str


@record
class Clear:
    """End what a member that was killed has left, but for what tidies up after the others."""

    name: str


@record
class Kill:
    """End a member: SIGKILL to its whole process group."""

    name: str


@record
class Say:
    """Tell the user."""

    name: str
    text: str
    bad: bool = False  # show the last lines of its log as well


@record
class Finish:
    """Everything has ended: leave with this exit code."""

    code: int


if TYPE_CHECKING:
    Command: TypeAlias = StartOne | StopOne | RestartOne
    Memory: TypeAlias = MemoryOwed | MemoryReturned
    Life: TypeAlias = Spawned | SpawnFailed | CalledOff | Healthy | Unhealthy | Ended | Gone
    Group: TypeAlias = Linked | Unlinked
    MemberEvent: TypeAlias = Life | Memory | Group | Command
    Event: TypeAlias = Begun | MemberEvent | Reloaded | StopAsked | TimePassed
    Action: TypeAlias = Start | CallOff | Terminate | Clear | Kill | Say | Finish
