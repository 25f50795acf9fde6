"""The launcher's exit code: one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.process.exitcode import failure_code, final_code
from launcher.process.fleet import Fleet, Member, State
from launcher.process.spec import Exited, Killed
from tests.support.history import main_program, server

if TYPE_CHECKING:
    from launcher.process.spec import ExitStatus

OK, FAILED, BY_TERM = Exited(code=0), Exited(code=7), Killed(signal=15)


def instance(status: ExitStatus | None = OK, failure: str = "", *, forced: bool = False) -> Member:
    return Member(
        spec=server("a"), state=State.ENDED, status=status, failure=failure, forced=forced
    )


def program(status: ExitStatus | None) -> Member:
    return Member(spec=main_program(), state=State.ENDED, status=status)


TABLE = {
    "nobody": (Fleet(members=()), 0),
    "asked, all obeyed": (Fleet(members=(instance(BY_TERM),), stopping=True), 0),
    "asked, one killed": (Fleet(members=(instance(forced=True), instance()), stopping=True), 137),
    "asked after a failure": (Fleet(members=(instance(FAILED, "died"),), stopping=True), 0),
    "asked, with main program": (Fleet(members=(program(FAILED),), stopping=True), 7),
    "asked, main program killed": (Fleet(members=(program(BY_TERM),), stopping=True), 143),
    "asked, main program never ran": (Fleet(members=(program(None),), stopping=True), 0),
    "decided": (Fleet(members=(instance(),), stopping=True, code=71), 71),
    "decided to be 0": (Fleet(members=(instance(forced=True),), stopping=True, code=0), 0),
    "decided, main program stopped": (
        Fleet(members=(instance(FAILED), program(BY_TERM)), stopping=True, code=7),
        7,
    ),
    "all died": (Fleet(members=(instance(FAILED, "died"), instance(BY_TERM, "died"))), 7),
    "died with 0": (Fleet(members=(instance(OK, "died"),)), 1),
    "killed by a real-time signal": (Fleet(members=(instance(Killed(signal=64), "died"),)), 192),
}


@pytest.mark.parametrize(("fleet", "code"), TABLE.values(), ids=TABLE)
def test_final_code(fleet: Fleet, code: int) -> None:
    assert final_code(fleet) == code


@pytest.mark.parametrize("status", [OK, BY_TERM, Killed(signal=9)])
def test_failure_code_of_unfit_server_tells_nothing_of_our_own_signals(status: ExitStatus) -> None:
    late = Member(spec=server("a"), state=State.ENDED, status=status, failure="late", unfit=True)
    assert failure_code(late) == 1


@pytest.mark.parametrize(("status", "code"), [(None, 1), (OK, 1), (FAILED, 7), (BY_TERM, 143)])
def test_failure_code_is_never_0(status: ExitStatus | None, code: int) -> None:
    assert failure_code(instance(status, "failed")) == code
