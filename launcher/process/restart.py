"""Is a member that has failed started again, and when? Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.fleet import Member


def recent_restarts(member: Member, now: float) -> tuple[float, ...]:
    """Return the times of the restarts that still count against the budget."""
    return tuple(time for time in member.restart_times if now - time < member.spec.restart.window_s)


def may_restart(member: Member, now: float) -> bool:
    """Tell whether the policy allows one more restart."""
    policy = member.spec.restart
    if policy.mode == "no":
        return False
    return policy.mode == "always" or len(recent_restarts(member, now)) < policy.max_restarts


def restart_pause(member: Member, now: float) -> float:
    """Return the seconds to wait before the next restart: exponential, up to a cap."""
    policy = member.spec.restart
    doublings = min(len(recent_restarts(member, now)), 32)
    return min(policy.backoff_cap_s, policy.backoff_s * 2.0**doublings)


def describe_budget(member: Member, now: float) -> str:
    """Say how much of the budget is used, counting the restart that comes now."""
    policy = member.spec.restart
    if policy.mode == "always":
        return f"restart {member.restarts + 1}"
    used = len(recent_restarts(member, now)) + 1
    return f"restart {used} of {policy.max_restarts} within {policy.window_s:g} s"
