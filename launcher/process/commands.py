"""What users ask of a running fleet: start, stop and restart one member, and new settings. Pure."""

from __future__ import annotations

from launcher.process.ending import ALIVE, wind_down
from launcher.process.events import RestartOne, StopOne
from launcher.process.fleet import Member, State
from launcher.process.gates import keepers_of
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from launcher.process.events import Action, Command
    from launcher.process.fleet import Fleet
    from launcher.process.spec import ProcessSpec

    Step: TypeAlias = tuple[Fleet, list[Action]]


def obey(fleet: Fleet, member: Member, command: Command, now: float) -> Step:
    """Do what a user asks of one member. Nothing is started while everything comes to an end.

    Who is started needs those that hold what it uses. Who is stopped leaves them: they keep it for
    the next start, until they are stopped themselves.
    """
    if fleet.stopping or member.spec.main:
        return fleet, []
    if isinstance(command, StopOne):
        held = replace(member, held=True, again=False)
        return wind_down(fleet, held, now)
    actions: list[Action] = []
    for keeper in keepers_of(member, fleet):
        fleet, more = _start(fleet, keeper, now)
        actions += more
    if isinstance(command, RestartOne):
        fleet, more = wind_down(fleet, _again(member), now)
    else:
        fleet, more = _start(fleet, member, now)
    return fleet, actions + more


def _start(fleet: Fleet, member: Member, now: float) -> Step:
    if member.state in {State.ENDED, State.BACKOFF}:
        return wind_down(fleet, _again(member), now)
    if member.state is State.WAITING or (member.state in ALIVE and not member.held):
        return fleet, []  # it runs, or is to run, already
    if _runs(member):  # its stop waited for the end of another, and is not needed any more
        return fleet.with_member(replace(member, held=False)), []
    return fleet.with_member(_again(member)), []  # it is stopping: it starts when it has stopped


def _again(member: Member) -> Member:
    return replace(member, held=False, again=True, restart_times=())


def _runs(member: Member) -> bool:
    """Tell whether there is a process that has not been asked to stop."""
    return member.state in ALIVE and member.pid > 0


def reload(fleet: Fleet, specs: tuple[ProcessSpec, ...], now: float) -> Step:
    """Take new settings: only what differs is stopped and started; others run on untouched."""
    if fleet.stopping:
        return fleet, []
    wanted = {spec.name: spec for spec in specs}
    actions: list[Action] = []
    for member in [member for member in fleet.members if not member.spec.main]:
        spec = wanted.get(member.spec.name)
        if spec is None:
            changed = replace(member, retiring=True, again=False, held=False)
        elif spec == member.spec:
            # It was being removed, or changed: it comes back, or stays if it had not been asked.
            again = (member.again or member.retiring) and not _runs(member)
            kept = replace(member, retiring=False, next_spec=None, again=again)
            fleet = fleet.with_member(kept)
            continue
        else:
            again = not member.held
            changed = replace(member, again=again, next_spec=spec, retiring=False)
            changed = replace(changed, restart_times=())
        fleet, more = wind_down(fleet, changed, now)
        actions += more
    known = {member.spec.name for member in fleet.members}
    added = tuple(Member(spec=spec, initial=False) for spec in specs if spec.name not in known)
    return _sorted(replace(fleet, members=fleet.members + added), specs), actions


def _sorted(fleet: Fleet, specs: tuple[ProcessSpec, ...]) -> Fleet:
    """Order the members as the settings do; those that retire and the main program come last."""
    order = {spec.name: position for position, spec in enumerate(specs)}
    last = len(specs)
    members = sorted(fleet.members, key=lambda member: order.get(member.spec.name, last))
    return replace(fleet, members=tuple(members))
