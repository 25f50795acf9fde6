"""The process that stays with a guest: one loop that waits for everything at once."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time

from launcher.hypervisor import rundir as names
from launcher.hypervisor.backend import PANIC, REBOOT, VmmError
from launcher.hypervisor.boot import Boot
from launcher.hypervisor.channel import Channel
from launcher.hypervisor.deeds import do_deed
from launcher.hypervisor.ending import Ending, judge_ending
from launcher.hypervisor.journal import DEBUG, ERROR, INFO, WARN
from launcher.hypervisor.ladder import (
    BUTTON,
    ECHO_S,
    STEP_S,
    next_pause,
    plan_early_force,
    plan_force,
    plan_ladder,
    split_due,
)
from launcher.hypervisor.report import LineSplitter, parse_report
from launcher.hypervisor.state import RUNNING, STOPPING
from launcher.hypervisor.vmm import VmmProcess
from launcher.process.signals import STOPPING as STOP_SIGNALS
from launcher.process.signals import SignalPipe
from launcher.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.hypervisor.backend import Booted, Launch, Vmm
    from launcher.hypervisor.console import Console
    from launcher.hypervisor.journal import Journal
    from launcher.hypervisor.ladder import Ladder, Rung
    from launcher.hypervisor.rundir import RunDir
    from launcher.hypervisor.state import GuestState

BOOT_S = 300.0  # seconds; pinning hundreds of GiB for devices takes minutes
CHUNK = 65_536
TAIL_BYTES = 4096  # of what the VMM said last, for the message about its end
LOOP_REBOOTS, LOOP_S = 4, 60.0  # so many reboots within so many seconds are a loop


@record
class Errand:
    """What to run, where, and how to stop it."""

    launch: Launch
    vmm: Vmm
    rundir: RunDir
    stop_timeout_s: float
    outlives_us: bool = False


class Supervisor:
    """Starts a guest, stays until it has ended, and leaves nothing behind."""

    def __init__(
        self,
        errand: Errand,
        state: GuestState,
        console: Console,
        journal: Journal,
        on_running: Callable[[], None],
    ) -> None:
        self._errand = errand
        self._state = state
        self._journal = journal
        self._on_running = on_running
        self._selector = selectors.DefaultSelector()
        self._signals = SignalPipe()
        self._console = Channel(self._selector, console.write)
        self._reports = Channel(self._selector, self._take_reports)
        self._events = Channel(self._selector, self._take_events)
        self._decoder = errand.vmm.decoder()
        self._splitter = LineSplitter()
        self._said = b""  # by the VMM, its end
        self._ladder: Ladder = ()
        self._stop_began = 0.0
        self._hurries = False
        self._ending = Ending(code=0)
        self._reboots: list[float] = []
        self._failure: VmmError | None = None

    def run(self, environ: Mapping[str, str]) -> int:
        """Run the guest to its end and return the exit code of `start`.

        Raises:
            VmmError: the guest never ran.
            StartError: its VMM could not be started.
        """
        with contextlib.ExitStack() as closing:
            closing.callback(self._close)
            self._selector.register(self._signals.descriptor, 1, self._on_signal)
            self._listen()
            process = VmmProcess(
                self._errand.launch.argv, environ, outlives_us=self._errand.outlives_us
            )
            closing.callback(process.close)
            self._process = process
            self._write(vmm=process.identity)
            self._selector.register(process.descriptor, 1, _nothing)
            self._selector.register(process.output, 1, self._on_output)
            self._boot = boot = Boot(self._errand.vmm, BOOT_S)
            closing.callback(boot.close)
            self._selector.register(boot.descriptor, 1, self._on_booted)
            self._loop()
            return self._finish()

    def _listen(self) -> None:
        launch, rundir = self._errand.launch, self._errand.rundir
        if launch.console:
            self._console.listen(rundir.file(launch.console))
        if launch.report:
            self._reports.listen(rundir.file(launch.report))
        if launch.pipe:
            self._events.open_pipe(rundir.file(launch.pipe))

    def _loop(self) -> None:
        while self._process.poll() is None:
            for key, _ in self._selector.select(self._pause_s()):
                key.data()
            self._journal.flush(time.monotonic())
            self._climb()

    def _pause_s(self) -> float | None:
        """Return how long there is nothing to do unless something happens."""
        pauses = []
        if self._stop_began:
            pauses.append(next_pause(self._ladder, time.monotonic() - self._stop_began))
        if (due := self._journal.due) is not None:
            pauses.append(max(0.0, due - time.monotonic()))
        return min(pauses, default=None)

    # What may happen.

    def _on_signal(self) -> None:
        now = time.monotonic()
        for number in self._signals.read():
            if number in STOP_SIGNALS:
                self._stop(signal.Signals(number).name, now)

    def _on_output(self) -> None:
        try:
            data = os.read(self._process.output, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(self._process.output)
            return
        self._said = (self._said + data)[-TAIL_BYTES:]
        for line in data.decode(errors="replace").splitlines():
            self._journal.tell(f"{self._state.backend}: {line}", WARN)

    def _on_booted(self) -> None:
        self._selector.unregister(self._boot.descriptor)
        try:
            booted = self._boot.result()
        except VmmError as error:
            self._failure = error
            self._force()
            return
        self._take(booted)
        phase = STOPPING if self._stop_began else RUNNING
        self._write(phase=phase, version=booted.info.version, ready_at=time.time())
        self._journal.running(self._state)
        if self._stop_began:  # asked while it booted
            self._ladder = plan_ladder(self._errand.stop_timeout_s)
        self._on_running()

    def _take(self, booted: Booted) -> None:
        if booted.console is not None:
            self._console.add(booted.console)
        if booted.events is not None:
            self._events.add(booted.events)

    def _take_reports(self, data: bytes) -> None:
        for line in self._splitter.feed(data):
            report = parse_report(line)
            if report is not None:
                self._ending = replace(self._ending, report=report)
                self._journal.take_report(report, time.monotonic())

    def _take_events(self, data: bytes) -> None:
        try:
            events = self._decoder.feed(data)
        except VmmError as error:
            self._journal.tell(error.message, WARN)
            return
        for event in events:
            self._journal.tell(f"event: {event.kind}", DEBUG)
            if event.kind != self._state.event:  # a guest can cause as many as it likes
                self._write(event=event.kind)
            if event.kind == PANIC and not self._ending.panicked:
                self._ending = replace(self._ending, panicked=True)
                self._journal.tell("the kernel of the guest panicked", WARN)
            if event.kind == REBOOT:
                self._on_reboot()

    def _on_reboot(self) -> None:
        now = time.monotonic()
        self._reboots = [at for at in self._reboots if now - at < LOOP_S] + [now]
        self._write(reboots=self._state.reboots + 1)
        self._journal.tell("the guest reboots", WARN)
        if len(self._reboots) >= LOOP_REBOOTS and not self._stop_began:
            self._ending = replace(self._ending, loops=True)
            self._force()

    # How it is stopped.

    def _stop(self, cause: str, now: float) -> None:
        if self._stop_began:
            self._hurry(cause, now - self._stop_began)
            return
        self._stop_began = now
        self._ending = replace(self._ending, asked=True)
        if self._state.phase == RUNNING:
            grace_s = self._errand.stop_timeout_s
            self._journal.stopping(f"{cause}: the guest has {grace_s:g} s to shut down", grace_s)
            self._ladder = plan_ladder(grace_s)
        else:
            self._journal.stopping(f"{cause}: the guest is not up yet, it is stopped", STEP_S)
            self._ladder = plan_early_force()
        self._write(phase=STOPPING)

    def _hurry(self, cause: str, elapsed_s: float) -> None:
        """Force the guest, once: who asks again and again would have us begin again each time."""
        if elapsed_s < ECHO_S or self._hurries:
            return
        self._hurries = True
        self._journal.tell(f"{cause} again: forcing the guest")
        self._ladder = plan_force(elapsed_s)

    def _force(self) -> None:
        if not self._stop_began:
            self._stop_began = time.monotonic()
            self._ladder = plan_force(0)

    def _climb(self) -> None:
        """Do what is due of the ladder."""
        if not self._stop_began or self._process.poll() is not None:
            return
        elapsed_s = time.monotonic() - self._stop_began
        due, self._ladder = split_due(self._ladder, elapsed_s)
        for rung in due:
            self._do(rung)

    def _do(self, rung: Rung) -> None:
        if rung.deed != BUTTON and self._state.ready_at:
            self._ending = replace(self._ending, forced=True)
        refusal = do_deed(rung.deed, self._errand.vmm, self._process.send)
        if refusal and rung.deed == BUTTON:
            self._journal.tell(f"the power button does not work: {refusal}", WARN)
            self._ladder = plan_force(time.monotonic() - self._stop_began)

    # How it ends.

    def _finish(self) -> int:
        with contextlib.suppress(BlockingIOError, KeyError, ValueError):
            self._on_output()
        self._events.drain()
        self._reports.drain()
        self._console.drain()
        self._journal.flush_all()
        mark = self._errand.rundir.read(names.STOPPING)
        was_up = bool(self._state.ready_at)
        ending = replace(
            self._ending,
            code=self._process.poll() or 0,
            asked=self._ending.asked or bool(mark),
            forced=self._ending.forced or (was_up and mark == names.FORCED),
        )
        # A guest that reboots has run, even if its VMM has not told us so yet.
        if not (was_up or ending.asked or ending.loops):
            raise self._failure or self._early_end()
        code, words = judge_ending(ending)
        self._journal.tell(words, ERROR if code else INFO)
        return code

    def _early_end(self) -> VmmError:
        lines = self._said.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else "it said nothing"
        return VmmError(
            f"{self._state.backend} ended before the guest ran: {reason}",
            "see 'vllmd-hypervisor precheck' for what this machine lacks",
        )

    def _write(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)
        self._errand.rundir.write_state(self._state)

    def _close(self) -> None:
        for channel in (self._console, self._reports, self._events):
            channel.close()
        self._signals.close()
        self._selector.close()


def _nothing() -> None:
    """Only wake the loop: it looks by itself whether the process has ended."""
