"""The processes of a launch and where each is in its life. Values only."""

from __future__ import annotations

from enum import Enum

from launcher.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.spec import ExitStatus, ProcessSpec


class State(Enum):
    """Where a member is in its life.

    WAITING until those it comes after are ready and its GPUs are free; BACKOFF in the pause before
    a restart; STARTING until its health probe answers; READY;
    STOPPING from SIGTERM until it ends or its grace is over; SWEEPING while its first process has
    ended but others of its group are still there (engines, resource trackers); KILLED from
    SIGKILL on; ENDED when nothing of it is left.
    """

    WAITING = "waiting"
    BACKOFF = "backoff"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    SWEEPING = "sweeping"
    KILLED = "killed"
    ENDED = "ended"

    def is_running(self) -> bool:
        """Tell whether there is a process."""
        return self not in {State.WAITING, State.BACKOFF, State.ENDED}


@record
class Member:
    """One process of the fleet and what happened to it."""

    spec: ProcessSpec
    state: State = State.WAITING
    pid: int = 0  # 0 until it runs
    forked: bool = False  # from a fork server, not started cold
    started_at: float = 0.0
    deadline: float | None = None
    kill_at: float = 0.0  # when the grace of one that is stopping ends
    status: ExitStatus | None = None
    failure: str = ""  # why it counts as failed; empty if it does not
    unfit: bool = False  # it was stopped because it was not healthy, in time or any more
    forced: bool = False  # it did not heed SIGTERM
    told: bool = False  # the user has been told that it ended
    initial: bool = True  # one of those that the launcher began with, not yet started again
    held: bool = False  # stopped by a command: stays so until a command starts it
    again: bool = False  # to be started again when it has ended: a command or new settings
    retiring: bool = False  # the new settings do not have it
    next_spec: ProcessSpec | None = None  # what the new settings say of it
    restarts: int = 0  # how often it was started again by itself
    restart_times: tuple[float, ...] = ()  # of the restarts within the policy's window
    last_failure: str = ""  # why it failed last, also when it runs again
    linked: bool = False  # a worker that has reached its leader, and may start, once
    ready_at: float = 0.0  # 0 until it is ready


@record
class Fleet:
    """All members, and whether everything is coming to an end."""

    members: tuple[Member, ...]
    wait_ready: bool = False  # the main program waits until the instances are healthy
    stopping: bool = False
    owing: tuple[str, ...] = ()  # members whose GPU memory the driver has not returned yet
    asked_at: float | None = None  # when a signal first asked everything to stop
    code: int | None = None  # decided by what ended the fleet; None: by how the stop went

    def member(self, name: str) -> Member:
        """Return a member by its name."""
        return next(member for member in self.members if member.spec.name == name)

    def find(self, name: str) -> Member | None:
        """Return a member by its name, or None."""
        return next((member for member in self.members if member.spec.name == name), None)

    def with_member(self, changed: Member) -> Fleet:
        """Return the fleet with one member changed."""
        members = tuple(
            changed if member.spec.name == changed.spec.name else member for member in self.members
        )
        return replace(self, members=members)

    def running(self) -> tuple[Member, ...]:
        """Return the members that have a process."""
        return tuple(member for member in self.members if member.state.is_running())

    def grace_s(self) -> float:
        """Return how long all that run may take to stop after they were asked, in seconds."""
        own = {member.spec.name: member.spec.stop_timeout_s for member in self.members}
        waits = {member.spec.name: own.get(member.spec.outlives, 0.0) for member in self.members}
        return max((own[name] + waits[name] for name in own), default=0.0)

    def deadline(self) -> float | None:
        """Return when something has to happen even if no event comes."""
        times = [member.deadline for member in self.members if member.deadline is not None]
        return min(times, default=None)
