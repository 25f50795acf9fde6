"""The supervisor's decisions, as a pure state machine.

    step(fleet, event, now) -> (fleet, actions)

No clock, no process, no disk: `launcher.process.supervisor` brings the events and carries out the
actions. Times are seconds of a monotonic clock.
"""

from __future__ import annotations

from launcher.errors import EX_OSERR
from launcher.process.events import (
    Begun,
    Ended,
    Finish,
    Gone,
    Healthy,
    Kill,
    Say,
    Spawned,
    SpawnFailed,
    Start,
    StopAsked,
    Terminate,
)
from launcher.process.exitcode import failure_code, final_code
from launcher.process.fleet import State
from launcher.process.spec import describe_status, exit_code
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from launcher.process.events import Action, Event
    from launcher.process.fleet import Fleet, Member

    Step: TypeAlias = tuple[Fleet, list[Action]]

# After SIGKILL a process ends at once, or hangs in the kernel (a broken driver) and never does.
KILL_WAIT_S = 10.0
# How long what a server leaves behind may take to end by itself: resource trackers remove shared
# memory then, which nobody would do if they were killed at once (seen to take up to 2 s).
SWEEP_S = 5.0
ECHO_S = 0.3
_ALIVE = (State.STARTING, State.READY)


def step(fleet: Fleet, event: Event, now: float) -> Step:
    """Return the fleet after an event, and what to do about it."""
    fleet, actions = _react(fleet, event, now)
    fleet, more = _advance(fleet, now)
    return fleet, actions + more


def _react(fleet: Fleet, event: Event, now: float) -> Step:  # noqa: PLR0911  (one per event)
    if isinstance(event, Begun):
        return fleet, []
    if isinstance(event, Spawned):
        return _spawned(fleet, fleet.member(event.name), event.pid, now)
    if isinstance(event, SpawnFailed):
        return _spawn_failed(fleet, fleet.member(event.name), event.reason, now)
    if isinstance(event, Healthy):
        return _healthy(fleet, fleet.member(event.name), now)
    if isinstance(event, Ended):
        return _ended(fleet, fleet.member(event.name), event, now)
    if isinstance(event, Gone):
        return _gone(fleet, fleet.member(event.name))
    if isinstance(event, StopAsked):
        return _stop_asked(fleet, now)
    return _time_passed(fleet, now)


def _spawned(fleet: Fleet, member: Member, pid: int, now: float) -> Step:
    spec = member.spec
    if fleet.stopping:  # the stop was asked for while the process was being made
        stopping = replace(member, pid=pid, state=State.STOPPING, started_at=now)
        stopping = replace(stopping, deadline=now + spec.stop_timeout_s)
        return _with(fleet, stopping), [Terminate(name=spec.name)]
    if spec.probe is None:
        ready = replace(member, pid=pid, state=State.READY, started_at=now, deadline=None)
        return _with(fleet, ready), [Say(name=spec.name, text=f"started (pid {pid})")]
    starting = replace(member, pid=pid, started_at=now, deadline=now + spec.startup_timeout_s)
    text = f"started (pid {pid}), waiting for {spec.probe.address()}{spec.probe.path}"
    text += f"; log: {spec.log.path}" if spec.log else ""
    return _with(fleet, starting), [Say(name=spec.name, text=text)]


def _spawn_failed(fleet: Fleet, member: Member, reason: str, now: float) -> Step:
    failed = replace(member, state=State.ENDED, failure=reason, deadline=None)
    say = Say(name=member.spec.name, text=f"could not be started: {reason}")
    fleet, actions = _stop(_with(fleet, failed), EX_OSERR, now)
    return fleet, [say, *actions]


def _healthy(fleet: Fleet, member: Member, now: float) -> Step:
    if member.state is not State.STARTING:
        return fleet, []
    spec = member.spec
    ready = replace(member, state=State.READY, deadline=None)
    where = f" at {spec.probe.address()}" if spec.probe else ""
    text = f"healthy after {now - member.started_at:.1f} s{where}"
    actions: list[Action] = [Say(name=spec.name, text=text)]
    if spec.try_it:
        actions.append(Say(name=spec.name, text=f"try it:\n{spec.try_it}"))
    return _with(fleet, ready), actions


def _ended(fleet: Fleet, member: Member, event: Ended, now: float) -> Step:
    if member.state is State.ENDED:  # given up as hanging in the kernel, and now it has died
        return _with(fleet, replace(member, status=event.status)), []
    ended = replace(member, state=State.SWEEPING, status=event.status, deadline=now + SWEEP_S)
    actions: list[Action] = []
    if member.state not in {State.STOPPING, State.KILLED}:
        ended, say = _unasked_end(ended, member.state, now)
        actions.append(say)
    fleet = _with(fleet, ended)
    if not event.left:
        fleet, more = _gone(fleet, ended)
        actions += more
    if not fleet.stopping and (member.spec.main or member.spec.foreground):
        fleet, more = _stop(fleet, _end_code(ended), now)
        actions += more
    return fleet, actions


def _gone(fleet: Fleet, member: Member) -> Step:
    fleet = _with(fleet, replace(member, state=State.ENDED, deadline=None))
    if member.told:
        return fleet, []
    how = describe_status(member.status) if member.status else "unknown"
    return fleet, [Say(name=member.spec.name, text=f"stopped ({how})")]


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
    if ended.late or ended.status is None:
        return failure_code(ended)
    return exit_code(ended.status)


def is_echo(fleet: Fleet, now: float) -> bool:
    """Tell whether a request to stop is the one before, once more.

    Ctrl-C reaches a whole group, and what runs us (`uv run`, `make`, a shell script's trap) often
    passes it on as well: nobody who asks twice within a moment means "now".
    """
    return fleet.asked_at is not None and now - fleet.asked_at < ECHO_S


def _stop_asked(fleet: Fleet, now: float) -> Step:
    if is_echo(fleet, now):
        return fleet, []
    if not fleet.stopping:
        return _stop(replace(fleet, asked_at=now), None, now)
    actions: list[Action] = []
    for member in _running(fleet):
        if member.state is not State.KILLED and member.pid:
            fleet = _with(fleet, _killed(member, now))
            actions.append(Kill(name=member.spec.name))
    return fleet, actions


def _stop(fleet: Fleet, code: int | None, now: float) -> Step:
    """Begin the end: ask everybody to stop, the main program first, then in reverse order.

    What began it decides the code; what happens meanwhile does not.
    """
    if not fleet.stopping:
        fleet = replace(fleet, stopping=True, code=code)
    actions: list[Action] = []
    main_first = [member for member in fleet.members if member.spec.main]
    for member in (*main_first, *reversed(fleet.members)):
        if member.state is State.WAITING:
            fleet = _with(fleet, replace(member, state=State.ENDED))
        elif fleet.member(member.spec.name).state in _ALIVE and member.pid:
            stopping = replace(
                member, state=State.STOPPING, deadline=now + member.spec.stop_timeout_s
            )
            fleet = _with(fleet, stopping)
            actions.append(Terminate(name=member.spec.name))
    return fleet, actions


def _time_passed(fleet: Fleet, now: float) -> Step:
    actions: list[Action] = []
    for name in [member.spec.name for member in fleet.members]:
        member = fleet.member(name)  # as it is by now: the one before may have begun the end
        if member.deadline is not None and member.deadline <= now:
            changed, more = _overdue(member, now)
            fleet = _with(fleet, changed)
            actions += more
            if changed.state is State.ENDED and member.spec.foreground and not fleet.stopping:
                fleet, more = _stop(fleet, 1, now)
                actions += more
    return fleet, actions


def _overdue(member: Member, now: float) -> tuple[Member, list[Action]]:
    name = member.spec.name
    if member.state is State.STARTING:
        reason = f"not healthy within {member.spec.startup_timeout_s:g} s"
        grace = now + member.spec.stop_timeout_s
        late = replace(member, state=State.STOPPING, failure=reason, late=True, deadline=grace)
        return late, [Say(name=name, text=f"{reason}: stopping it", bad=True), Terminate(name=name)]
    if member.state is State.STOPPING:
        text = f"did not stop within {member.spec.stop_timeout_s:g} s: killing it"
        return _killed(member, now), [Say(name=name, text=text), Kill(name=name)]
    if member.state is State.SWEEPING:
        text = f"left processes behind that are still there after {SWEEP_S:g} s: killing them"
        return _killed(member, now), [Say(name=name, text=text), Kill(name=name)]
    text = f"pid {member.pid} does not die: it hangs in the kernel, and may hold its GPU"
    lost = replace(member, state=State.ENDED, failure=text, deadline=None)
    return lost, [Say(name=name, text=text)]


def _killed(member: Member, now: float) -> Member:
    forced = member.status is None  # leftovers are no fault of the server's own stop
    return replace(member, state=State.KILLED, forced=forced, deadline=now + KILL_WAIT_S)


def _advance(fleet: Fleet, now: float) -> Step:
    """Start whoever may start now, and finish when everybody has ended."""
    actions: list[Action] = []
    states = {member.spec.name: member for member in fleet.members}
    for member in fleet.members:
        if (
            member.state is State.WAITING
            and not fleet.stopping
            and _may_start(member, fleet, states)
        ):
            fleet = _with(fleet, replace(member, state=State.STARTING))
            actions.append(Start(spec=member.spec))
    blocker = _blocks_main(fleet)
    if blocker is not None:
        text = "will not be started: an instance failed before all were healthy"
        fleet, more = _stop(fleet, failure_code(blocker), now)
        actions += [Say(name=_main_name(fleet), text=text), *more]
    if all(member.state is State.ENDED for member in fleet.members):
        actions.append(Finish(code=final_code(fleet)))
    return fleet, actions


def _may_start(member: Member, fleet: Fleet, states: dict[str, Member]) -> bool:
    if member.spec.main:
        instances = [other for other in fleet.members if not other.spec.main]
        if fleet.wait_ready:
            return all(other.state is State.READY for other in instances)
        return all(other.pid or other.state is State.ENDED for other in instances)
    return all(states[name].state in {State.READY, State.ENDED} for name in member.spec.after)


def _blocks_main(fleet: Fleet) -> Member | None:
    """Return an instance that ended, so that the waiting main program can never start."""
    waiting = any(m.spec.main and m.state is State.WAITING for m in fleet.members)
    if fleet.stopping or not fleet.wait_ready or not waiting:
        return None
    return next((m for m in fleet.members if m.state is State.ENDED), None)


def _main_name(fleet: Fleet) -> str:
    return next(member.spec.name for member in fleet.members if member.spec.main)


def _running(fleet: Fleet) -> tuple[Member, ...]:
    return tuple(member for member in fleet.members if member.state.is_running())


def _with(fleet: Fleet, changed: Member) -> Fleet:
    return replace(
        fleet,
        members=tuple(
            changed if member.spec.name == changed.spec.name else member for member in fleet.members
        ),
    )
