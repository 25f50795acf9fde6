"""How a guest is stopped: the power button, then ever harder. Pure; the clock is the caller's.

The button is pressed again and again: one pressed before the guest's driver was loaded is lost
without a trace. With the default grace of 20 s everything fits into the 30 s that systemd gives.
"""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

BUTTON, QUIT, TERMINATE, KILL = "button", "quit", "terminate", "kill"
GIVE_UP = "give up"
AGAIN_S = 10.0
STEP_S = 4.0  # between two of the hard steps
# Ctrl-C reaches a whole group, and `uv run` or `make` passes it on as well: within that, a second
# request to stop is the first once more.
ECHO_S = 0.3
END_S = 3.0  # after the kill: then somebody is stuck in the kernel


@record
class Rung:
    """One deed, so many seconds after the stop was asked for."""

    at_s: float
    deed: str


if TYPE_CHECKING:
    Ladder: TypeAlias = tuple[Rung, ...]


def plan_ladder(grace_s: float) -> Ladder:
    """Return the way from asking to forcing; the guest has `grace_s` seconds for itself."""
    presses = []
    at_s = 0.0
    while at_s < grace_s:
        presses.append(Rung(at_s=at_s, deed=BUTTON))
        at_s += AGAIN_S
    return (*presses, *plan_force(grace_s))


def plan_force(at_s: float) -> Ladder:
    """Return the hard steps alone, from that second on."""
    return (
        Rung(at_s=at_s, deed=QUIT),
        Rung(at_s=at_s + STEP_S, deed=TERMINATE),
        *plan_kill(at_s + 2 * STEP_S),
    )


def plan_early_force() -> Ladder:
    """Return the steps against a VMM whose guest is not up: it has nothing to lose."""
    return (Rung(at_s=0.0, deed=TERMINATE), *plan_kill(STEP_S))


def plan_kill(at_s: float) -> Ladder:
    """Return the last step, and the end of all hope."""
    return (Rung(at_s=at_s, deed=KILL), Rung(at_s=at_s + END_S, deed=GIVE_UP))


def split_due(ladder: Ladder, elapsed_s: float) -> tuple[Ladder, Ladder]:
    """Return the rungs that are due by now, and those that are left."""
    due = tuple(rung for rung in ladder if rung.at_s <= elapsed_s)
    return due, ladder[len(due) :]


def next_pause(ladder: Ladder, elapsed_s: float) -> float:
    """Return how long until the next rung, in seconds."""
    return max(0.0, ladder[0].at_s - elapsed_s) if ladder else 0.0
