"""What a fleet is doing, for people and programs. Pure.

The words for states are those of `vllmd status` and of the metrics; they are fewer than the
machine's own, which tells apart how far a stop has come.
"""

from __future__ import annotations

from launcher.process.fleet import State
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from launcher.process.fleet import Fleet, Member
    from launcher.process.spec import ProcessSpec

    # What JSON can hold, and what else is known of an instance: {"diagnosis": ..., ...}.
    Json: TypeAlias = dict[str, object]
    Notes: TypeAlias = Mapping[str, Json]

STATES = ("waiting", "backoff", "starting", "ready", "stopping", "stopped", "failed")
_WORDS = {
    State.WAITING: "waiting",
    State.BACKOFF: "backoff",
    State.STARTING: "starting",
    State.READY: "ready",
    State.STOPPING: "stopping",
    State.SWEEPING: "stopping",
    State.KILLED: "stopping",
}


@record
class About:
    """The launcher itself. Times are seconds of the monotonic clock."""

    version: str
    pid: int
    started_at: float
    config: str = ""
    socket: str = ""
    memory_bytes: int = 0  # resident


def state_of(member: Member) -> str:
    """Return where a member is in its life, one of `STATES`."""
    if member.state is State.ENDED:
        return "failed" if member.failure and not member.held else "stopped"
    return _WORDS[member.state]


def instances_of(fleet: Fleet) -> list[Member]:
    """Return the members that are servers."""
    return [member for member in fleet.members if not member.spec.main]


def is_wanted(member: Member) -> bool:
    """Tell whether a member is meant to run."""
    return not member.held and not member.retiring


def not_ready(fleet: Fleet) -> list[Member]:
    """Return the wanted instances that are not ready; during a stop, all that are wanted."""
    return [
        member
        for member in instances_of(fleet)
        if is_wanted(member) and (fleet.stopping or member.state is not State.READY)
    ]


def describe_fleet(fleet: Fleet, about: About, now: float, notes: Notes | None = None) -> Json:
    """Describe the launcher and all its instances."""
    return {
        "launcher": {
            "version": about.version,
            "pid": about.pid,
            "uptime_s": round(now - about.started_at, 1),
            "config": about.config or None,
            "socket": about.socket or None,
            "stopping": fleet.stopping,
            "ready": not fleet.stopping and not not_ready(fleet),
        },
        "instances": [
            {**describe_member(member, now), **(notes or {}).get(member.spec.name, {})}
            for member in instances_of(fleet)
        ],
    }


def describe_member(member: Member, now: float) -> Json:
    """Describe one instance."""
    spec = member.spec
    runs = member.state.is_running() and member.pid > 0 and member.status is None
    in_backoff = member.state is State.BACKOFF and member.deadline is not None
    return {
        "name": spec.name,
        "state": state_of(member),
        "wanted": is_wanted(member),
        "pid": member.pid if runs else None,
        "forked": member.forked if runs else None,
        "uptime_s": round(now - member.started_at, 1) if runs else None,
        "start_s": start_duration(member),
        "next_start_s": round(max(0.0, (member.deadline or 0) - now), 1) if in_backoff else None,
        "restarts": member.restarts,
        "gpus": spec.gpus,
        "address": spec.probe.address() if spec.probe else None,
        "log": spec.log.path if spec.log else None,
        "failure": member.failure or member.last_failure or None,
        "diagnosis": None,
        "timeline": None,
    }


def start_duration(member: Member) -> float | None:
    """Return the seconds from start to readiness, once it has been ready."""
    if not member.ready_at:
        return None
    return round(member.ready_at - member.started_at, 3)


def describe_changes(fleet: Fleet, specs: tuple[ProcessSpec, ...]) -> Json:
    """Say which instances new settings add, change, remove and leave alone."""
    former = {member.spec.name: member for member in instances_of(fleet) if not member.retiring}
    wanted = {spec.name: spec for spec in specs if not spec.main}
    both = [name for name in wanted if name in former]
    changed = [name for name in both if _differs(former[name], wanted[name])]
    return {
        "added": [name for name in wanted if name not in former],
        "changed": changed,
        "removed": [name for name in former if name not in wanted],
        "unchanged": [name for name in both if name not in changed],
    }


def _differs(member: Member, spec: ProcessSpec) -> bool:
    return (member.next_spec or member.spec) != spec
