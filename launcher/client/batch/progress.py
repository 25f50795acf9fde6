"""How a batch is going, for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from launcher.record import record


@record
class BatchResult:
    """How a whole batch ended. `earlier` results were there before; all counts are requests."""

    total: int
    earlier: int
    succeeded: int
    failed: int
    seconds: float


@dataclass(slots=True)
class Tally:
    """Counts that grow. `failed` and `succeeded` are of this run, `earlier` of those before."""

    total: int = 0
    earlier: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def finished(self) -> int:
        """How many requests have a result."""
        return self.earlier + self.succeeded + self.failed


class Show(Protocol):
    """Shows a batch to somebody."""

    def begin(self, tally: Tally) -> None:
        """Tell that the files have been read, and the first request is about to be sent."""

    def update(self, tally: Tally) -> None:
        """Tell that one more request has its result."""

    def say(self, text: str) -> None:
        """Tell something else: the server went away, or came back."""


class Silent:
    """Shows nothing."""

    def begin(self, tally: Tally) -> None:
        """Show nothing."""

    def update(self, tally: Tally) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""
