"""`stop`: the ladder, done by whoever asks; the guest's supervisor sees its VMM end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from functools import partial

from launcher.errors import HostError
from launcher.hypervisor import rundir as names
from launcher.hypervisor.backends import connect
from launcher.hypervisor.deeds import do_deed
from launcher.hypervisor.identity import find_user, is_alive, open_process
from launcher.hypervisor.ladder import (
    BUTTON,
    next_pause,
    plan_early_force,
    plan_force,
    plan_ladder,
    split_due,
)
from launcher.hypervisor.observing import sweep_dead
from launcher.hypervisor.rundir import is_hidden
from launcher.hypervisor.state import STARTING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.backend import Vmm
    from launcher.hypervisor.identity import Identity
    from launcher.hypervisor.ladder import Ladder
    from launcher.hypervisor.rundir import RunDir
    from launcher.hypervisor.state import GuestState

WAS_STOPPED, GRACEFUL, FORCED = "was stopped", "graceful", "forced"
TIDY_S = 15.0  # for the supervisor to end after its VMM
EARLY_S = 15.0  # for a supervisor that has just started its VMM, or has not yet


def stop_guest(rundir: RunDir, grace_s: float, *, force: bool) -> str:
    """Stop the guest of a run directory; return how that went.

    Raises:
        HostError: it cannot be stopped, by any means.
    """
    if is_hidden(rundir):
        raise HostError("the guest is another user's", "stop it with sudo, or as that user")
    state = rundir.find_state()
    if state is None:
        return WAS_STOPPED
    _require_own(state, rundir)
    if state.vmm is None or not is_alive(state.vmm):
        return _stop_supervisor(state, rundir)
    vmm = connect(state.backend, rundir)
    _mark(rundir, names.FORCED if force else names.ASKED)
    ladder = _plan(state, grace_s, force=force)
    outcome = _climb(state.vmm, vmm, ladder, rundir) if ladder else GRACEFUL
    _await_supervisor(state.supervisor)
    sweep_dead(rundir)
    return outcome if state.ready_at else GRACEFUL


def _require_own(state: GuestState, rundir: RunDir) -> None:
    """Refuse to end processes that are not of the guest's user, who wrote down which they are.

    Raises:
        HostError: root is asked to stop a guest whose state names processes of others.
    """
    try:
        owner = os.stat(rundir.path).st_uid
    except FileNotFoundError:
        return  # it has just ended
    for process in (state.vmm, state.supervisor):
        if process is not None and is_alive(process) and find_user(process.pid) != owner:
            raise HostError(
                f"process {process.pid} is not of the user whose guest it is said to run",
                f"look at '{rundir.file(names.STATE)}': it is not what 'start' wrote",
            )


def _mark(rundir: RunDir, mark: bytes) -> None:
    """Tell the supervisor, unless it has just tidied up."""
    with contextlib.suppress(FileNotFoundError):
        rundir.write(names.STOPPING, mark)


def _plan(state: GuestState, grace_s: float, *, force: bool) -> Ladder:
    if state.phase == STARTING:
        return plan_early_force()
    return plan_force(0.0) if force else plan_ladder(grace_s)


def _stop_supervisor(state: GuestState, rundir: RunDir) -> str:
    """End who has no VMM: it has not started one yet, or is tidying up after it."""
    descriptor = open_process(state.supervisor)
    if descriptor is None:
        sweep_dead(rundir)
        return WAS_STOPPED
    try:
        if state.vmm is None:
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        if not _wait(descriptor, EARLY_S):
            raise HostError(
                f"the supervisor, process {state.supervisor.pid}, does not end",
                f"end it with: kill -9 {state.supervisor.pid}",
            )
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)
    sweep_dead(rundir)
    return GRACEFUL


def _climb(process: Identity, vmm: Vmm, ladder: Ladder, rundir: RunDir) -> str:
    """Go from rung to rung until the process has ended; return how it did.

    Raises:
        VmmError: it does not end at all.
    """
    descriptor = open_process(process)
    if descriptor is None:
        return GRACEFUL
    began = time.monotonic()
    outcome = GRACEFUL
    try:
        while True:
            due, ladder = split_due(ladder, time.monotonic() - began)
            for rung in due:
                if rung.deed != BUTTON and outcome != FORCED:
                    outcome = FORCED
                    _mark(rundir, names.FORCED)
                refusal = do_deed(rung.deed, vmm, partial(_send, descriptor))
                if refusal and rung.deed == BUTTON:
                    ladder = plan_force(time.monotonic() - began)
            if _wait(descriptor, next_pause(ladder, time.monotonic() - began)):
                return outcome
    finally:
        os.close(descriptor)


def _send(descriptor: int, number: signal.Signals) -> None:
    """Send a signal to that very process; one that has ended needs none."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, number)


def _wait(descriptor: int, seconds: float) -> bool:
    """Wait until a process has ended, for so long; tell whether it has."""
    ready, _, _ = select.select([descriptor], [], [], seconds)
    return bool(ready)


def _await_supervisor(supervisor: Identity) -> None:
    """Let the supervisor tidy up: when `stop` returns, the guest is gone without a trace."""
    descriptor = open_process(supervisor)
    if descriptor is not None:
        _wait(descriptor, TIDY_S)
        os.close(descriptor)
