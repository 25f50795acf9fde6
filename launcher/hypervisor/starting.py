"""`start`: from the environment to a supervised guest, or to every reason why not."""

from __future__ import annotations

import contextlib
import os
import shlex
import time

from launcher.errors import HostError
from launcher.hypervisor import read
from launcher.hypervisor.account import with_home
from launcher.hypervisor.backends import connect, find_gaps, gather_tools, plan_launch
from launcher.hypervisor.choose import choose
from launcher.hypervisor.console import Console, log_spec
from launcher.hypervisor.environment import EnvironmentReader
from launcher.hypervisor.examine import examine
from launcher.hypervisor.identity import find_identity, is_alive
from launcher.hypervisor.journal import DEBUG, Journal
from launcher.hypervisor.resources import find_huge_page
from launcher.hypervisor.rundir import Lock, find_rundir, find_rundirs, make_rundir, sweep
from launcher.hypervisor.state import GuestState
from launcher.hypervisor.supervisor import Errand, Supervisor
from launcher.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    from launcher.config.problems import Problem
    from launcher.hypervisor.backend import Launch
    from launcher.hypervisor.choose import Choice, Tools
    from launcher.hypervisor.model import VmSpec
    from launcher.hypervisor.rundir import RunDir

    Gather: TypeAlias = Callable[[VmSpec, Mapping[str, str]], Tools]

LOCK_S, PAUSE_S = 10.0, 0.05  # how long somebody may sweep, and between two looks at it


@record
class Plan:
    """A guest that can be started here, and how."""

    spec: VmSpec
    choice: Choice
    launch: Launch
    rundir: RunDir
    warnings: tuple[Problem, ...] = ()


def plan_guest(
    environ: Mapping[str, str],
    gather: Gather = gather_tools,
) -> Plan:
    """Read, examine and choose; nothing is changed. `gather` looks at this machine.

    Raises:
        ConfigError: the environment is wrong, or does not fit this machine: all problems.
        HostError: a program or KVM is missing.
    """
    environ = with_home(environ)
    reader = EnvironmentReader(environ)
    spec = read.read_spec(reader, find_huge_page())
    rundir = find_rundirs(spec.name, environ)[0]
    require_stopped(spec.name, environ)
    spec = examine(spec, rundir, reader)
    choice, host_error = _choose(spec, gather(spec, environ))
    if choice is not None:
        spec = _settle(spec, choice)
        for name, message, hint in find_gaps(spec, choice):
            reader.refuse(f"{read.P}{name}", message, hint)
    warnings = reader.finish()
    if choice is None:
        raise host_error or HostError("no backend can run this guest")
    launch = plan_launch(spec, choice, rundir)
    return Plan(spec=spec, choice=choice, launch=launch, rundir=rundir, warnings=warnings)


def _choose(spec: VmSpec, tools: Tools) -> tuple[Choice | None, HostError | None]:
    """Choose a backend; what the machine lacks is told only if the configuration is right."""
    try:
        return choose(spec, tools), None
    except HostError as error:
        return None, error


def _settle(spec: VmSpec, choice: Choice) -> VmSpec:
    """Fill in what depends on the backend: its network, and on Arm the name of the console."""
    network = spec.network
    if not network.kind:
        kind = "user" if choice.backend == "qemu" else "none"
        network = replace(network, kind=kind)
    cmdline = spec.cmdline
    if os.uname().machine == "aarch64":
        cmdline = cmdline.replace("console=ttyS0", "console=ttyAMA0")
    return replace(spec, network=network, cmdline=cmdline)


def require_stopped(name: str, environ: Mapping[str, str]) -> None:
    """Refuse to start a guest that runs.

    Raises:
        HostError: it does, or is just being started.
    """
    _require_ended(name, find_rundir(name, environ))


def _require_ended(name: str, rundir: RunDir) -> None:
    state = rundir.find_state()
    if state is not None and (is_alive(state.vmm) or is_alive(state.supervisor)):
        process = state.vmm or state.supervisor
        raise HostError(
            f"guest '{name}' is running already: process {process.pid}",
            "stop it with 'vllmd-hypervisor stop', or set VLLMD_HYPERVISOR_NAME to another name",
        )


@contextlib.contextmanager
def hold(plan: Plan, patience_s: float = LOCK_S) -> Iterator[Lock]:
    """Hold the guest's run directory; tidy up before and after.

    Raises:
        HostError: somebody else holds it for longer than our patience, it cannot be made, or the
            guest has been started since it was planned.
    """
    lock = _take_lock(plan, patience_s)
    try:
        _require_ended(plan.spec.name, plan.rundir)
    except HostError:
        lock.release()
        raise
    try:
        sweep(plan.rundir)
        yield lock
    finally:
        tidy(plan.rundir, lock)


def _take_lock(plan: Plan, patience_s: float) -> Lock:
    """Take the lock; `status` holds it for a moment where it sweeps, and removes the folder."""
    lock = Lock(plan.rundir)
    until = time.monotonic() + patience_s
    make_rundir(plan.rundir)
    while not lock.acquire():
        if time.monotonic() > until:
            raise HostError(
                f"guest '{plan.spec.name}' is being started or stopped by somebody else",
                "wait for it, or set VLLMD_HYPERVISOR_NAME to another name",
            )
        time.sleep(PAUSE_S)
        make_rundir(plan.rundir)
    return lock


def tidy(rundir: RunDir, lock: Lock) -> None:
    """Leave nothing behind, if the guest is still ours to tidy up after."""
    if lock.held:
        sweep(rundir)
        lock.release()


def supervise(
    plan: Plan, environ: Mapping[str, str], on_running: Callable[[], None], *, detached: bool
) -> int:
    """Run a guest to its end and return the exit code of `start`. The lock is held.

    Raises:
        LauncherError: the guest never ran.
    """
    spec, rundir = plan.spec, plan.rundir
    console = Console(spec.log_path, rundir, detached=detached)
    try:
        address = "" if detached else environ.get("NOTIFY_SOCKET", "")
        journal = Journal(rundir, console, address, spec.log_level)
        journal.tell(f"command line: {shlex.join(plan.launch.argv)}", DEBUG)
        if plan.launch.payload:
            journal.tell(f"configuration: {plan.launch.payload}", DEBUG)
        state = _first_state(plan, detached=detached)
        rundir.write_state(state)
        errand = Errand(
            launch=plan.launch,
            vmm=connect(plan.choice.backend, rundir, plan.launch),
            rundir=rundir,
            stop_timeout_s=spec.stop_timeout_s,
            outlives_us=detached,
        )

        def tell_running() -> None:
            on_running()
            journal.detached = detached

        return Supervisor(errand, state, console, journal, tell_running).run(environ)
    finally:
        console.close()


def _first_state(plan: Plan, *, detached: bool) -> GuestState:
    spec = plan.spec
    us = find_identity(os.getpid())
    assert us is not None  # noqa: S101  (we run)
    return GuestState(
        name=spec.name,
        backend=plan.choice.backend,
        accelerator=plan.choice.accelerator,
        why=plan.choice.why,
        supervisor=us,
        started_at=time.time(),
        cpus=spec.cpus,
        memory=spec.memory.size,
        devices=spec.devices,
        publish=tuple(
            f"{each.host}:{each.host_port}:{each.guest_port}" for each in spec.network.publish
        ),
        log=log_spec(spec.log_path, plan.rundir).path,
        reports=spec.reports,
        detached=detached,
    )
