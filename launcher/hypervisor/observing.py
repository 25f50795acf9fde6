"""How a guest is, from its state file, its processes, and its VMM; truthful after crashes too."""

from __future__ import annotations

import json
import time

from launcher.hypervisor import rundir as names
from launcher.hypervisor.backend import CREATED, PANICKED, SHUTDOWN, VmmError, VmmSilentError
from launcher.hypervisor.backends import connect
from launcher.hypervisor.identity import is_alive
from launcher.hypervisor.report import parse_report
from launcher.hypervisor.rundir import Lock, is_hidden, sweep
from launcher.hypervisor.state import STARTING, STOPPING
from launcher.hypervisor.status import (
    IS_RUNNING,
    IS_STARTING,
    IS_STOPPED,
    IS_STOPPING,
    IS_UNKNOWN,
    IS_UNRESPONSIVE,
    GuestStatus,
)
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.report import GuestReport
    from launcher.hypervisor.rundir import RunDir
    from launcher.hypervisor.state import GuestState

# What a VMM calls its guest just before it runs, and just after it has: moments, mostly.
WORDS = {CREATED: IS_STARTING, SHUTDOWN: IS_STOPPING, PANICKED: IS_STOPPING}
ASK_S = 5.0  # for the VMM's answer; one that boots may take minutes


def observe(name: str, rundir: RunDir) -> GuestStatus:
    """Look how a guest is. What a crashed one has left behind is swept."""
    if is_hidden(rundir):
        return GuestStatus(
            name=name, state=IS_UNKNOWN, detail="it is another user's: ask with sudo"
        )
    while (state := rundir.find_state()) is not None:
        status = _look(name, state, rundir)
        if status is not None:
            return status
    return GuestStatus(name=name, state=IS_STOPPED)


def _look(name: str, state: GuestState, rundir: RunDir) -> GuestStatus | None:
    """Hold what is written down against what runs; None where it changed under our eyes."""
    report, age_s = _read_report(rundir)
    found = GuestStatus(
        name=name,
        state=IS_STARTING,
        guest=state,
        supervised=is_alive(state.supervisor),
        uptime_s=max(0.0, time.time() - state.started_at),
        report=report,
        report_age_s=age_s,
    )
    if is_alive(state.vmm):
        return _ask(found, state, rundir)
    if found.supervised:
        word = IS_STARTING if state.vmm is None else IS_STOPPING
        return _with(found, word, "its supervisor is at it")
    if rundir.find_state() != state:
        return None  # a supervisor has tidied up, or another has begun
    sweep_dead(rundir)
    return GuestStatus(
        name=name,
        state=IS_STOPPED,
        detail="it ended without its supervisor; what it left behind has been removed",
    )


def _ask(found: GuestStatus, state: GuestState, rundir: RunDir) -> GuestStatus | None:
    """Ask the VMM, which lives; None where it ends over that."""
    try:
        info = connect(state.backend, rundir).info(ASK_S)
    except VmmSilentError as error:
        if not is_alive(state.vmm):
            return None
        if state.phase == STARTING:
            return _with(found, IS_STARTING, f"the VMM is busy: {error.message}")
        return _with(found, IS_UNRESPONSIVE, error.message)
    except VmmError as error:
        return _with(found, IS_STARTING, error.message)
    asked = state.phase == STOPPING or rundir.read(names.STOPPING)
    if asked:
        return _with(found, IS_STOPPING, "it was asked to shut down")
    alone = info.state == IS_RUNNING and not found.supervised
    word = WORDS.get(info.state, info.state)
    return _with(found, word, "its supervisor has gone" if alone else "")


def _with(found: GuestStatus, state: str, detail: str) -> GuestStatus:
    return replace(found, state=state, detail=detail)


def _read_report(rundir: RunDir) -> tuple[GuestReport | None, float]:
    """Return the guest's last report and its age in seconds."""
    text = rundir.read(names.GUEST)
    report = parse_report(text) if text else None
    if report is None:
        return None, 0.0
    return report, max(0.0, time.time() - json.loads(text).get("received_at", 0.0))


def sweep_dead(rundir: RunDir) -> None:
    """Tidy up after a guest whose processes have ended, unless somebody is at it already."""
    lock = Lock(rundir)
    if lock.acquire():
        sweep(rundir)
        lock.release()
