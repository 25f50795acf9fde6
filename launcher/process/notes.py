"""What the supervisor knows about its members beyond their state, for a person who looks.

Nothing here decides anything: how long each phase of a start took, and why a member failed last.
"""

from __future__ import annotations

import time

from launcher.process.oomkills import read_oom_kills
from launcher.process.timeline import (
    Timeline,
    note_forked,
    note_healthy,
    note_output,
    render_timeline,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.diagnosis import Diagnosis
    from launcher.process.outcome import Started
    from launcher.process.relay import Relay
    from launcher.process.spec import ExitStatus


class Notes:
    """One notebook for the whole fleet; entries are kept by the names of members."""

    def __init__(self) -> None:
        self.diagnoses: dict[str, Diagnosis] = {}  # of the last failure
        self.timelines: dict[str, Timeline] = {}  # of the last start
        self._oom_kills: dict[str, int] = {}  # when it was started
        self._ends: dict[str, ExitStatus] = {}  # how its first process ended, since its start

    def began(self, name: str, relay: Relay | None, start: Started) -> None:
        """Note a start. The log is read only until the member is healthy."""
        self._oom_kills[name] = read_oom_kills()
        self._ends.pop(name, None)
        timeline = Timeline(started=start.asked_at)
        self.timelines[name] = note_forked(timeline, time.monotonic()) if start.warm else timeline
        if relay is not None:
            relay.listener = lambda data: self._heard(name, data)

    def became_healthy(self, name: str, relay: Relay | None) -> str:
        """Note the first good answer; return what the start was made of, empty if unknown."""
        if relay is not None:
            relay.listener = None
        timeline = self.timelines.get(name)
        if timeline is None:
            return ""
        self.timelines[name] = note_healthy(timeline, time.monotonic())
        return render_timeline(self.timelines[name])

    def ended(self, name: str, status: ExitStatus) -> None:
        """Note how the first process of a member ended."""
        self._ends[name] = status

    def failed(self, name: str, output: str, reason: str) -> Diagnosis | None:
        """Find out why a member failed, from its last words and how it ended; None if we cannot."""
        try:
            from launcher.process.diagnosis import diagnose  # noqa: PLC0415  (only after a failure)
        except (ImportError, OSError):  # no descriptor is left, or our files are being replaced
            return None
        killed = max(0, read_oom_kills() - self._oom_kills.get(name, 0))
        found = diagnose(self._ends.get(name), output, oom_kills=killed, reason=reason)
        self.diagnoses[name] = found
        return found

    def describe(self) -> dict[str, dict[str, object]]:
        """Return what there is to show of each member, as JSON can hold it; times are seconds."""
        shown: dict[str, dict[str, object]] = {}
        for name, timeline in self.timelines.items():
            shown[name] = {"timeline": {phase: round(at, 3) for phase, at in timeline.marks}}
        for name, found in self.diagnoses.items():
            if found.is_known():
                words = {"kind": found.kind, "what": found.what, "advice": found.advice}
                shown.setdefault(name, {})["diagnosis"] = {**words, "line": found.line or None}
        return shown

    def _heard(self, name: str, data: bytes) -> None:
        self.timelines[name] = note_output(self.timelines[name], data, time.monotonic())
