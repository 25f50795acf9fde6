"""What has come of the start of a process. Values only."""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from launcher.process.spec import ProcessSpec


@record
class Started:
    """A process runs. Times are seconds of the monotonic clock."""

    spec: ProcessSpec
    pid: int
    warm: bool = False  # forked from a fork server
    asked_at: float


@record
class NotStarted:
    """There is no process, and there will be none."""

    name: str
    reason: str


if TYPE_CHECKING:
    Outcome: TypeAlias = Started | NotStarted
