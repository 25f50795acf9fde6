"""The supervisor's decisions, as a pure state machine.

    step(fleet, event, now) -> (fleet, actions)

No clock, no process, no disk: `launcher.process.supervisor` brings the events and carries out the
actions. Times are seconds of a monotonic clock. `ending` has what happens when members end,
`gates` who may start, `commands` what users ask for.
"""

from __future__ import annotations

from launcher.errors import EX_OSERR
from launcher.process.commands import obey, reload
from launcher.process.ending import (
    AGAIN_S,
    SWEEP_S,
    ended,
    gone,
    is_unwanted,
    killed,
    release,
    relinked,
    starve,
    stop_all,
    told_to_stop,
    unhealthy,
)
from launcher.process.events import (
    Begun,
    CalledOff,
    Ended,
    Finish,
    Gone,
    Healthy,
    Kill,
    Linked,
    MemoryOwed,
    MemoryReturned,
    Reloaded,
    Say,
    Spawned,
    SpawnFailed,
    Start,
    StopAsked,
    Terminate,
    TimePassed,
    Unhealthy,
    Unlinked,
)
from launcher.process.exitcode import failure_code, final_code
from launcher.process.fleet import State
from launcher.process.gates import (
    are_keepers_left,
    find_blocker,
    is_over,
    is_used,
    may_start,
)
from launcher.process.restart import may_restart
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from launcher.process.events import Action, Event, MemberEvent
    from launcher.process.fleet import Fleet, Member

    Step: TypeAlias = tuple[Fleet, list[Action]]

ECHO_S = 0.3  # within which a second request to stop is the first once more


def step(fleet: Fleet, event: Event, now: float) -> Step:
    """Return the fleet after an event, and what to do about it."""
    fleet, actions = _react(fleet, event, now)
    fleet, more = _advance(fleet, now)
    return fleet, actions + more


def _react(fleet: Fleet, event: Event, now: float) -> Step:
    if isinstance(event, Begun):
        return fleet, []
    if isinstance(event, StopAsked):
        return _stop_asked(fleet, now)
    if isinstance(event, Reloaded):
        return reload(fleet, event.specs, now)
    if isinstance(event, TimePassed):
        return _time_passed(fleet, now)
    member = fleet.find(event.name)
    if member is None:  # gone with the last reload
        return fleet, []
    return _react_member(fleet, member, event, now)


def _react_member(  # noqa: PLR0911  (one per event)
    fleet: Fleet, member: Member, event: MemberEvent, now: float
) -> Step:
    if isinstance(event, Spawned):
        return _spawned(fleet, replace(member, forked=event.forked), event.pid, now)
    if isinstance(event, SpawnFailed):
        return _spawn_failed(fleet, member, event.reason, now)
    if isinstance(event, CalledOff):
        return _called_off(fleet, member, now)
    if isinstance(event, Healthy):
        return _healthy(fleet, member, now)
    if isinstance(event, Unhealthy):
        return unhealthy(fleet, member, event.reason, now)
    if isinstance(event, Linked | Unlinked):
        return relinked(fleet, member, event, now)
    if isinstance(event, Ended):
        return ended(fleet, member, event, now)
    if isinstance(event, Gone):
        return gone(fleet, member, now)
    if isinstance(event, MemoryOwed | MemoryReturned):
        others = tuple(name for name in fleet.owing if name != event.name)
        owing = (*others, event.name) if isinstance(event, MemoryOwed) else others
        return replace(fleet, owing=owing), []
    return obey(fleet, member, event, now)


def _spawned(fleet: Fleet, member: Member, pid: int, now: float) -> Step:
    spec = member.spec
    unwanted = fleet.stopping or is_unwanted(member)  # since the process was asked for
    if unwanted and not is_used(member, fleet):
        stopping = told_to_stop(replace(member, pid=pid, started_at=now), now)
        return fleet.with_member(stopping), [Terminate(name=spec.name)]
    if spec.probe is None:
        ready = replace(member, pid=pid, state=State.READY, started_at=now, deadline=None)
        ready = replace(ready, ready_at=now)
        return fleet.with_member(ready), [Say(name=spec.name, text=_started(ready))]
    starting = replace(member, pid=pid, started_at=now, deadline=now + spec.startup_timeout_s)
    text = f"{_started(starting)}, waiting for {spec.probe.address()}{spec.probe.path}"
    text += f"; log: {spec.log.path}" if spec.log else ""
    return fleet.with_member(starting), [Say(name=spec.name, text=text)]


def _started(member: Member) -> str:
    return f"started (pid {member.pid}){', forked' if member.forked else ''}"


def _called_off(fleet: Fleet, member: Member, now: float) -> Step:
    if member.pid or member.state is not State.STARTING:
        return fleet, []
    return gone(fleet, replace(member, told=True), now)


def _spawn_failed(fleet: Fleet, member: Member, reason: str, now: float) -> Step:
    """At first that ends everything: something is wrong with the machine. Later, only this one.

    Unless it is one whose end, for good, is everybody's.
    """
    failed = replace(member, state=State.ENDED, failure=reason, deadline=None, told=True)
    say = Say(name=member.spec.name, text=f"could not be started: {reason}")
    is_last = member.spec.foreground and not may_restart(failed, now)
    if member.initial or member.spec.main or is_last:
        fleet, actions = stop_all(fleet.with_member(failed), EX_OSERR, now)
    else:
        fleet, actions = gone(fleet, failed, now)
    return fleet, [say, *actions]


def _healthy(fleet: Fleet, member: Member, now: float) -> Step:
    if member.state is not State.STARTING:
        return fleet, []
    spec = member.spec
    ready = replace(member, state=State.READY, deadline=None, ready_at=now)
    where = f" at {spec.probe.address()}" if spec.probe else ""
    text = f"healthy after {now - member.started_at:.1f} s{where}"
    actions: list[Action] = [Say(name=spec.name, text=text)]
    if spec.try_it:
        actions.append(Say(name=spec.name, text=f"try it:\n{spec.try_it}"))
    return fleet.with_member(ready), actions


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
        return stop_all(replace(fleet, asked_at=now), None, now)
    actions: list[Action] = []
    for member in fleet.running():
        if member.state is not State.KILLED and member.pid:
            fleet = fleet.with_member(killed(member, now))
            actions.append(Kill(name=member.spec.name))
    return fleet, actions


def _time_passed(fleet: Fleet, now: float) -> Step:
    actions: list[Action] = []
    for name in [member.spec.name for member in fleet.members]:
        member = fleet.member(name)  # as it is by now: the one before may have begun the end
        if member.deadline is not None and member.deadline <= now:
            changed, more = _overdue(member, now)
            fleet = fleet.with_member(changed)
            actions += more
            if changed.state is State.ENDED and member.spec.foreground and not fleet.stopping:
                fleet, more = stop_all(fleet, 1, now)
                actions += more
    return fleet, actions


def _overdue(member: Member, now: float) -> tuple[Member, list[Action]]:
    name = member.spec.name
    if member.state is State.BACKOFF:
        return replace(member, state=State.WAITING, deadline=None), []
    if member.state is State.STARTING:
        reason = f"not healthy within {member.spec.startup_timeout_s:g} s"
        late = replace(told_to_stop(member, now), failure=reason, unfit=True)
        return late, [Say(name=name, text=f"{reason}: stopping it", bad=True), Terminate(name=name)]
    if member.state is State.STOPPING and now < member.kill_at:
        again = min(now + AGAIN_S, member.kill_at)
        return replace(member, deadline=again), [Terminate(name=name)]
    if member.state is State.STOPPING:
        text = f"did not stop within {member.spec.stop_timeout_s:g} s: killing it"
        return killed(member, now), [Say(name=name, text=text), Kill(name=name)]
    if member.state is State.SWEEPING:
        text = f"left processes behind that are still there after {SWEEP_S:g} s: killing them"
        return killed(member, now), [Say(name=name, text=text), Kill(name=name)]
    text = f"pid {member.pid} does not die: it hangs in the kernel, and may hold its GPU"
    lost = replace(member, state=State.ENDED, failure=text, deadline=None)
    return lost, [Say(name=name, text=text)]


def _advance(fleet: Fleet, now: float) -> Step:
    """Start and stop whoever may now, and finish when everybody has ended."""
    actions: list[Action] = []
    blocker = find_blocker(fleet)
    if blocker is not None:  # first: nobody is to be started only to be stopped
        text = "will not be started: an instance failed before all were healthy"
        fleet, more = stop_all(fleet, failure_code(blocker), now)
        actions += [Say(name=_main_name(fleet), text=text), *more]
    if are_keepers_left(fleet):
        fleet, more = stop_all(fleet, final_code(fleet), now)
        actions += more
    for settle in (starve, release):
        fleet, more = settle(fleet, now)
        actions += more
    states = {member.spec.name: member for member in fleet.members}
    for member in fleet.members:
        if (
            member.state is State.WAITING
            and not fleet.stopping
            and may_start(member, fleet, states)
        ):
            fleet = fleet.with_member(replace(member, state=State.STARTING))
            actions.append(Start(spec=member.spec))
    if is_over(fleet):
        actions.append(Finish(code=final_code(fleet)))
    return fleet, actions


def _main_name(fleet: Fleet) -> str:
    return next(member.spec.name for member in fleet.members if member.spec.main)
