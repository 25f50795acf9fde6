"""The launcher's exit code, decided from what happened to the fleet."""

from __future__ import annotations

from launcher.process.spec import FORCED, Exited, exit_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.fleet import Fleet, Member


def final_code(fleet: Fleet) -> int:
    """Return the launcher's exit code once everybody has ended.

    What ended the fleet decides: the main program's or a foreground instance's own code, 71 for
    a process that could not be started. After a stop that was asked for: the main program's code
    if there is one, else 0, or 137 if somebody had to be killed. With nobody left: the first
    failure.
    """
    if fleet.code is not None:
        return fleet.code
    main = next((m for m in fleet.members if m.spec.main and m.status is not None), None)
    if main is not None and main.status is not None:
        return exit_code(main.status)
    if fleet.stopping:
        return FORCED if any(member.forced for member in fleet.members) else 0
    failed = next((member for member in fleet.members if member.failure), None)
    return failure_code(failed) if failed else 0


def failure_code(member: Member) -> int:
    """Return the code of a failed member.

    It is 1 where the process's own code says nothing about the failure: exit code 0 that nobody
    asked for, and whatever became of a server that we stopped because it was not healthy.
    """
    if member.unfit:
        return 1
    return exit_code(member.status or Exited(code=1)) or 1
