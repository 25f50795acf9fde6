"""How members end, and what becomes of them: swept, restarted, or over for good. Pure."""

from __future__ import annotations

from launcher.process.events import CallOff, Clear, Ended, Linked, Say, Terminate, Unlinked
from launcher.process.exitcode import failure_code
from launcher.process.fleet import Member, State
from launcher.process.gates import find_lost_keeper, is_used
from launcher.process.restart import describe_budget, may_restart, recent_restarts, restart_pause
from launcher.process.spec import Killed, describe_status, exit_code
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from launcher.process.events import Action
    from launcher.process.fleet import Fleet
    from launcher.process.spec import ProcessSpec

    Step: TypeAlias = tuple[Fleet, list[Action]]

# After SIGKILL a process ends at once, or hangs in the kernel (a broken driver) and never does.
KILL_WAIT_S = 10.0
AGAIN_S = 5.0  # after which a server that was still starting is asked to stop again, and again
# How long what a server leaves behind may take to end by itself: resource trackers remove shared
# memory then, which nobody would do if they were killed at once (seen to take up to 2 s).
SWEEP_S = 5.0
ALIVE = (State.STARTING, State.READY)
PENDING = (State.WAITING, State.BACKOFF)


def unhealthy(fleet: Fleet, member: Member, reason: str, now: float) -> Step:
    """Stop a member that was healthy and no longer is; its policy decides about a restart."""
    if member.state is not State.READY:
        return fleet, []
    name = member.spec.name
    sick = replace(member, failure=reason, unfit=True)
    fleet, actions = ask_to_stop(fleet, sick, now)
    return fleet, [Say(name=name, text=f"{reason}: stopping it", bad=True), *actions]


def relinked(fleet: Fleet, member: Member, event: Linked | Unlinked, now: float) -> Step:
    """Let a worker start once; or stop what has lost a part on another machine, ready or not."""
    member = replace(member, linked=isinstance(event, Linked))
    fleet = fleet.with_member(member)
    if isinstance(event, Linked):
        return fleet, []
    if member.state not in ALIVE or not member.pid:
        return fleet, []
    sick = replace(member, failure=event.reason, unfit=True)
    fleet, actions = ask_to_stop(fleet, sick, now)
    return fleet, [Say(name=member.spec.name, text=f"{event.reason}: stopping it"), *actions]


def ended(fleet: Fleet, member: Member, event: Ended, now: float) -> Step:
    """Note the end of a member's first process; the rest of its group may still be there."""
    if member.state is State.ENDED:  # given up as hanging in the kernel, and now it has died
        dead = replace(member, status=event.status)
        if fleet.stopping or not (dead.again or dead.retiring):
            return fleet.with_member(dead), []
        if event.left:
            swept = replace(dead, state=State.SWEEPING, told=True, deadline=now + SWEEP_S)
            return fleet.with_member(swept), []
        return gone(fleet, dead, now)
    asked = member.state in {State.STOPPING, State.KILLED}
    ended = replace(member, state=State.SWEEPING, status=event.status, deadline=now + SWEEP_S)
    actions: list[Action] = []
    if not asked:
        ended, say = _unasked_end(ended, member.state, now)
        actions.append(say)
    if not asked and event.left and isinstance(event.status, Killed):
        # It could tell nobody: vLLM's engine and workers would go on for ever.
        actions.append(Clear(name=member.spec.name))
    fleet = fleet.with_member(ended)
    if not fleet.stopping and _ends_everything(ended, now):
        fleet, more = stop_all(fleet, _end_code(ended), now)
        actions += more
    if not event.left:
        fleet, more = gone(fleet, fleet.member(ended.spec.name), now)
        actions += more
    return fleet, actions


def _ends_everything(ended: Member, now: float) -> bool:
    """Tell whether the end of this member, for good, is everybody's end."""
    if ended.spec.main:
        return True
    if not ended.spec.foreground or ended.held or ended.again or ended.retiring:
        return False
    return not (ended.failure and may_restart(ended, now))


def gone(fleet: Fleet, member: Member, now: float) -> Step:
    """Decide what becomes of a member of which nothing is left."""
    actions: list[Action] = []
    name = member.spec.name
    if not member.told:
        how = describe_status(member.status) if member.status else "unknown"
        actions.append(Say(name=name, text=f"stopped ({how})"))
    over = replace(member, state=State.ENDED, deadline=None, told=True)
    if over.retiring and not fleet.stopping:
        kept = tuple(each for each in fleet.members if each.spec.name != name)
        return replace(fleet, members=kept), actions
    if fleet.stopping or over.held:
        return fleet.with_member(over), actions
    if over.again:
        return fleet.with_member(_anew(over, over.next_spec or over.spec)), actions
    if over.failure and not over.spec.main:
        over, say = _after_failure(over, now)
        actions += [say] if say else []
    return fleet.with_member(over), actions


def _anew(member: Member, spec: ProcessSpec) -> Member:
    """Return a member that waits for its start, with what is remembered through starts."""
    return Member(
        spec=spec,
        initial=False,
        restarts=member.restarts,
        restart_times=member.restart_times,
        last_failure=member.failure or member.last_failure,
    )


def _after_failure(over: Member, now: float) -> tuple[Member, Say | None]:
    """Plan a restart, or give up."""
    name = over.spec.name
    over = replace(over, last_failure=over.failure)
    if not may_restart(over, now):
        if over.spec.restart.mode == "no":
            return over, None
        used = len(recent_restarts(over, now))
        text = f"failed for good: {used} restarts within {over.spec.restart.window_s:g} s"
        return over, Say(name=name, text=text)
    pause = restart_pause(over, now)
    text = f"starting it again in {pause:g} s ({describe_budget(over, now)})"
    times = (*recent_restarts(over, now), now)
    waiting = replace(
        _anew(over, over.spec), state=State.BACKOFF, deadline=now + pause, restart_times=times
    )
    return replace(waiting, restarts=over.restarts + 1), Say(name=name, text=text)


def _unasked_end(ended: Member, before: State, now: float) -> tuple[Member, Say]:
    """Note an end that nobody asked for: for a server that is a failure, whatever the code."""
    name = ended.spec.name
    how = describe_status(ended.status) if ended.status else "unknown"
    if ended.spec.main:
        return replace(ended, told=True), Say(name=name, text=f"ended ({how})")
    when = "while starting" if before is State.STARTING else "without being asked"
    reason = f"ended {when} ({how}) after {now - ended.started_at:.1f} s"
    return replace(ended, failure=reason, told=True), Say(name=name, text=reason, bad=True)


def _end_code(ended: Member) -> int:
    """Return the code of a member whose end is everybody's end."""
    if ended.unfit or ended.status is None:
        return failure_code(ended)
    return exit_code(ended.status)


def stop_all(fleet: Fleet, code: int | None, now: float) -> Step:
    """Begin the end: ask everybody to stop, the main program first, then in reverse order.

    Whoever holds what another uses is asked when that has ended (`release`). What began the end
    decides the code; what happens meanwhile does not.
    """
    if not fleet.stopping:
        fleet = replace(fleet, stopping=True, code=code)
    actions: list[Action] = []
    main_first = [member for member in fleet.members if member.spec.main]
    for member in (*main_first, *reversed(fleet.members)):
        if member.state in PENDING:
            fleet = fleet.with_member(replace(member, state=State.ENDED, deadline=None))
        elif fleet.member(member.spec.name).state in ALIVE and member.pid:
            fleet, more = wind_down(fleet, member, now)
            actions += more
        elif is_being_made(fleet.member(member.spec.name)):
            actions.append(CallOff(name=member.spec.name))
    return fleet, actions


def starve(fleet: Fleet, now: float) -> Step:
    """Stop who starts and waits for what somebody keeps that has ended: nothing will come of it."""
    actions: list[Action] = []
    for member in fleet.members:
        if member.state is not State.STARTING or not member.pid:
            continue
        keeper = find_lost_keeper(member, fleet)
        if keeper is not None:
            reason = f"'{keeper.spec.name}' has ended, and what it keeps is needed"
            sick = replace(member, failure=reason, unfit=True)
            fleet, more = ask_to_stop(fleet, sick, now)
            actions += [Say(name=member.spec.name, text=f"{reason}: stopping it"), *more]
    return fleet, actions


def release(fleet: Fleet, now: float) -> Step:
    """Ask those to stop that only waited for the end of who used what they hold."""
    actions: list[Action] = []
    for member in fleet.members:
        is_asked = member.spec.outlives and (fleet.stopping or is_unwanted(member))
        if is_asked and member.state in ALIVE and member.pid and not is_used(member, fleet):
            fleet, more = ask_to_stop(fleet, member, now)
            actions += more
    return fleet, actions


def is_being_made(member: Member) -> bool:
    """Tell whether a process is to be forked and has not come yet; a cold start takes no time."""
    return member.spec.warm is not None and member.state is State.STARTING and not member.pid


def is_unwanted(member: Member) -> bool:
    """Tell whether a process that comes now is to be stopped at once."""
    return member.held or member.again or member.retiring


def ask_to_stop(fleet: Fleet, member: Member, now: float) -> Step:
    """Send SIGTERM to a running member and begin its grace."""
    return fleet.with_member(told_to_stop(member, now)), [Terminate(name=member.spec.name)]


def told_to_stop(member: Member, now: float) -> Member:
    """Return a member that has been asked to stop.

    One that was still starting is asked again and again: vLLM 0.32 does not heed a SIGTERM that
    comes while it waits for its engine (`zmq_socket_ctx` swallows the interrupt), and goes on.
    """
    kill_at = now + member.spec.stop_timeout_s
    again = now + AGAIN_S if member.state is State.STARTING else kill_at
    deadline = min(again, kill_at)
    return replace(member, state=State.STOPPING, deadline=deadline, kill_at=kill_at)


def wind_down(fleet: Fleet, member: Member, now: float) -> Step:
    """Bring a member to its end; one that does not run is there already."""
    if member.state in ALIVE and member.pid and is_used(member, fleet):
        return fleet.with_member(member), []  # it is asked in time: `release`
    if member.state in ALIVE and member.pid:
        return ask_to_stop(fleet, member, now)
    if is_being_made(member):
        return fleet.with_member(member), [CallOff(name=member.spec.name)]
    if member.state.is_running() or is_lost(member):
        return fleet.with_member(member), []  # the rest happens when it has ended
    return gone(fleet, replace(member, told=True), now)


def is_lost(member: Member) -> bool:
    """Tell whether a member was given up while its process still hangs in the kernel."""
    return member.state is State.ENDED and member.pid > 0 and member.status is None


def killed(member: Member, now: float) -> Member:
    """Return a member whose group is being killed."""
    forced = member.status is None  # leftovers are no fault of the server's own stop
    return replace(member, state=State.KILLED, forced=forced, deadline=now + KILL_WAIT_S)
