"""The processes of a launch and where each is in its life. Values only."""

from __future__ import annotations

from enum import Enum

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.spec import ExitStatus, ProcessSpec


class State(Enum):
    """Where a member is in its life.

    WAITING until those it comes after are ready; STARTING until its health probe answers; READY;
    STOPPING from SIGTERM until it ends or its grace is over; SWEEPING while its first process has
    ended but others of its group are still there (engines, resource trackers); KILLED from
    SIGKILL on; ENDED when nothing of it is left.
    """

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    SWEEPING = "sweeping"
    KILLED = "killed"
    ENDED = "ended"

    def is_running(self) -> bool:
        """Tell whether there is a process."""
        return self not in {State.WAITING, State.ENDED}


@record
class Member:
    """One process of the fleet and what happened to it."""

    spec: ProcessSpec
    state: State = State.WAITING
    pid: int = 0  # 0 until it runs
    started_at: float = 0.0
    deadline: float | None = None
    status: ExitStatus | None = None
    failure: str = ""  # why it counts as failed; empty if it does not
    late: bool = False  # it was stopped because it did not become healthy in time
    forced: bool = False  # it did not heed SIGTERM
    told: bool = False  # the user has been told that it ended


@record
class Fleet:
    """All members, and whether everything is coming to an end."""

    members: tuple[Member, ...]
    wait_ready: bool = False  # the main program waits until the instances are healthy
    stopping: bool = False
    asked_at: float | None = None  # when a signal first asked everything to stop
    code: int | None = None  # decided by what ended the fleet; None: by how the stop went

    def member(self, name: str) -> Member:
        """Return a member by its name."""
        return next(member for member in self.members if member.spec.name == name)

    def deadline(self) -> float | None:
        """Return when something has to happen even if no event comes."""
        times = [member.deadline for member in self.members if member.deadline is not None]
        return min(times, default=None)
