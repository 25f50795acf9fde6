"""What the end of a VMM means for `start`: an exit code, and a sentence. Pure."""

from __future__ import annotations

import signal

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.report import GuestReport

FAILED = 1
FORCED = 137  # as of a container that had to be killed


@record
class Ending:
    """How a VMM ended and what was known by then.

    `code` is its exit code, or minus the signal. `asked`: somebody wanted the guest to stop;
    `forced`: it did not by itself.
    """

    code: int
    asked: bool = False
    forced: bool = False
    panicked: bool = False
    loops: bool = False  # it rebooted again and again, and was stopped for that
    report: GuestReport | None = None  # the last one


def judge_ending(ending: Ending) -> tuple[int, str]:
    """Return the exit code of `start`, and what to say.

    A guest that powers off by itself has done its work: its entrypoint's code, where it is known,
    is ours.
    """
    if ending.loops:
        return FAILED, "the guest rebooted again and again, and was stopped"
    if ending.asked and ending.forced:
        return FORCED, "the guest did not shut down by itself, and was forced"
    if ending.asked:
        return 0, "the guest has shut down"
    return _judge_unasked(ending)


def _judge_unasked(ending: Ending) -> tuple[int, str]:
    if ending.code < 0:
        return 128 - ending.code, f"the VMM was killed by {_signal_name(-ending.code)}"
    if ending.code > 0:
        return FAILED, f"the VMM failed with exit code {ending.code}"
    if ending.panicked:
        return FAILED, "the kernel of the guest panicked"
    code = ending.report.exit_code if ending.report is not None else None
    if code:
        return code, f"the guest powered off: its entrypoint ended with exit code {code}"
    return 0, "the guest powered off"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no name
        return f"signal {number}"
