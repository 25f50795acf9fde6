"""Who may start now, who may stop, and whether all is over. Pure."""

from __future__ import annotations

from launcher.process.fleet import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.fleet import Fleet, Member

_SETTLED = (State.READY, State.ENDED)
_HOLDING = (State.STARTING, State.SWEEPING, State.KILLED)
_LEAVING = (State.STOPPING, State.SWEEPING, State.KILLED)


def may_start(member: Member, fleet: Fleet, states: dict[str, Member]) -> bool:
    """Tell whether those it comes after are settled and its GPUs are free to start on.

    They are not before the driver has returned the memory that its predecessor held.
    """
    if not {member.spec.name, member.spec.outlives}.isdisjoint(fleet.owing):
        return False
    if _is_unlinked(member) or _is_being_left(member, fleet):
        return False
    if member.spec.main:
        instances = [other for other in fleet.members if not other.spec.main]
        if fleet.wait_ready:
            return all(other.state is State.READY for other in instances)
        return all(_was_started(other) for other in instances)
    before = [states[name] for name in member.spec.after if name in states]
    settled = all(other.state in _SETTLED or other.restarts for other in before)
    return (settled or member.restarts > 0) and not _is_locked(member, fleet)


def is_used(member: Member, fleet: Fleet) -> bool:
    """Tell whether the process that uses what a member holds is there, or is just being started."""
    user = fleet.find(member.spec.outlives) if member.spec.outlives else None
    return user is not None and user.state.is_running()


def keepers_of(member: Member, fleet: Fleet) -> tuple[Member, ...]:
    """Return those that hold what a member uses."""
    return tuple(other for other in fleet.members if other.spec.outlives == member.spec.name)


def find_lost_keeper(member: Member, fleet: Fleet) -> Member | None:
    """Return who holds what a member uses and has ended, for good as it seems."""
    keepers = keepers_of(member, fleet)
    return next((each for each in keepers if each.state is State.ENDED), None)


def _is_being_left(member: Member, fleet: Fleet) -> bool:
    """Tell whether its keeper or its user is on its way out: both hold memory of the same GPU."""
    user = fleet.find(member.spec.outlives) if member.spec.outlives else None
    others = (*keepers_of(member, fleet), *((user,) if user is not None else ()))
    return any(other.state in _LEAVING for other in others)


def _is_unlinked(member: Member) -> bool:
    """Tell whether this is a worker whose leader on another machine is not there yet."""
    link = member.spec.link
    return link is not None and link.rank > 0 and not member.linked


def _was_started(member: Member) -> bool:
    """Tell whether a member runs, has ended, or is about to be started not for the first time."""
    return bool(member.pid) or not member.initial or member.state is State.ENDED


def _is_locked(member: Member, fleet: Fleet) -> bool:
    """Tell whether another member that starts, or that is ending, holds one of its GPUs."""
    mine = member.spec.locks
    others = (other for other in fleet.members if other.spec.name != member.spec.name)
    return any(other.state in _HOLDING and _share_a_gpu(mine, other.spec.locks) for other in others)


def _share_a_gpu(mine: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    if not mine or not theirs:
        return False
    return "all" in (*mine, *theirs) or not set(mine).isdisjoint(theirs)


def is_over(fleet: Fleet) -> bool:
    """Tell whether nobody runs, and nobody is to be started or waits for a command."""
    if any(member.state is not State.ENDED for member in fleet.members):
        return False
    return fleet.stopping or not any(member.held for member in fleet.members)


def are_keepers_left(fleet: Fleet) -> bool:
    """Tell whether only those are left that hold something for others, which ended for good."""
    if fleet.stopping or any(member.held for member in fleet.members):
        return False
    left = [member for member in fleet.members if member.state is not State.ENDED]
    return bool(left) and all(member.spec.outlives for member in left)


def find_blocker(fleet: Fleet) -> Member | None:
    """Return an instance that ended for good, so that the waiting main program cannot start."""
    waiting = any(m.spec.main and m.state is State.WAITING for m in fleet.members)
    if fleet.stopping or not fleet.wait_ready or not waiting:
        return None
    return next((m for m in fleet.members if m.state is State.ENDED and not m.held), None)
