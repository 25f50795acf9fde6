"""Replay histories through the state machine of PID 1: events in, actions out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.process.events import CallOff, Clear, Finish, Kill, Say, Start, Terminate
from launcher.process.fleet import Fleet, Member
from launcher.process.machine import step
from launcher.process.spec import Probe, ProcessSpec

if TYPE_CHECKING:
    from launcher.process.events import Action, Event

PROBE = Probe(host="127.0.0.1", port=8000)


def server(name: str = "a", **changes: object) -> ProcessSpec:
    """Return a server that has to become healthy, with 10 s to start and 3 s to stop."""
    values: dict[str, object] = {"startup_timeout_s": 10.0, "stop_timeout_s": 3.0, "probe": PROBE}
    return ProcessSpec(name=name, argv=("serve",), **{**values, **changes})  # type: ignore[arg-type]


def main_program() -> ProcessSpec:
    """Return the container's own program."""
    return ProcessSpec(name="main", argv=("main",), main=True, stop_timeout_s=3.0)


def word(action: Action) -> str:
    """Return an action in a word or two, like `start a` or `finish 0`."""
    if isinstance(action, Start):
        return f"start {action.spec.name}"
    if isinstance(action, Finish):
        return f"finish {action.code}"
    if isinstance(action, Say):
        return f"say {action.name}: {action.text}"
    verb = {Terminate: "terminate", Kill: "kill", Clear: "clear", CallOff: "call off"}[type(action)]
    return f"{verb} {action.name}"


class History:
    """A fleet and what has been done to it. Time moves only when `at` is told."""

    def __init__(self, *specs: ProcessSpec, wait_ready: bool = False) -> None:
        members = tuple(Member(spec=spec) for spec in specs)
        self.fleet = Fleet(members=members, wait_ready=wait_ready)
        self.now = 0.0
        self.said: list[str] = []

    def happen(self, *events: Event, at: float | None = None) -> list[str]:
        """Let events happen; return what is to be done, in words, without what is said."""
        self.now = self.now if at is None else at
        done: list[str] = []
        for event in events:
            self.fleet, actions = step(self.fleet, event, self.now)
            words = [word(action) for action in actions]
            self.said += [each for each in words if each.startswith("say ")]
            done += [each for each in words if not each.startswith("say ")]
        return done
