"""The loop of PID 1: wait for something to happen, let `step` decide, do it.

It sleeps in one poll(2) on the signal pipe, the outputs of the processes, the health requests and
the console, until the nearest deadline. Idle, it does not wake up at all.
"""

from __future__ import annotations

import select
import signal
import time

from launcher.process import child
from launcher.process.events import (
    Begun,
    CalledOff,
    CallOff,
    Clear,
    Ended,
    Finish,
    Gone,
    Healthy,
    Kill,
    MemoryOwed,
    MemoryReturned,
    Reloaded,
    RestartOne,
    Say,
    Spawned,
    SpawnFailed,
    Start,
    StopAsked,
    Terminate,
    TimePassed,
    Unhealthy,
)
from launcher.process.firstanswers import FirstAnswers
from launcher.process.fleet import Fleet, Member, State
from launcher.process.gates import keepers_of
from launcher.process.gpumemory import GpuMemory
from launcher.process.leftovers import (
    Adopted,
    clear_leftovers,
    end_strangers,
    has_leftovers,
    kill_leftovers,
)
from launcher.process.links import Links
from launcher.process.machine import is_echo, step
from launcher.process.outcome import NotStarted
from launcher.process.outputs import Outputs
from launcher.process.signals import STOPPING
from launcher.process.starter import Starter
from launcher.process.watches import Watches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

    from launcher.process.events import Action, Event
    from launcher.process.outcome import Outcome
    from launcher.process.service import Service
    from launcher.process.signals import SignalPipe
    from launcher.process.spec import Endpoints, ExitStatus, Prefetch, ProcessSpec

    Reload: TypeAlias = Callable[[], tuple[tuple[ProcessSpec, ...] | None, str]]

LONGEST_SLEEP_MS = 86_400_000  # poll(2) takes an int
NEVER = float("inf")


class Supervisor:
    """Runs a fleet of processes to its end."""

    def __init__(  # noqa: PLR0913  (all but the first three by name)
        self,
        specs: tuple[ProcessSpec, ...],
        environ: Mapping[str, str],
        signals: SignalPipe,
        *,
        wait_ready: bool = False,
        reload: Reload | None = None,
        hangup_reloads: bool = True,
        endpoints: Endpoints | None = None,
        prefetches: tuple[Prefetch, ...] = (),
    ) -> None:
        """Open every log, before anything is started.

        `reload` reads the configuration again: it returns the processes that it asks for (None
        where it cannot be used) and what there is to say about it. Without it, or without
        `hangup_reloads`, SIGHUP stops everything, as SIGTERM does. `endpoints` say where commands
        are taken and questions answered; None: nowhere. `prefetches` are read while they start.

        A stop that `signals` has caught already is heeded: nothing is started then.

        Raises:
            StartError: a log cannot be opened.
        """
        self._environ = environ
        self._signals = signals
        self._fleet = Fleet(
            members=tuple(Member(spec=spec) for spec in specs), wait_ready=wait_ready
        )
        self._outputs = Outputs(specs)
        self._starter = Starter(self._outputs, environ)
        self._answers = FirstAnswers()
        self._watches = Watches(environ)
        self._reload = reload
        self._hangup_reloads = hangup_reloads and reload is not None
        self._endpoints = endpoints
        self._prefetches = prefetches
        self._service: Service | None = None
        self._pids: dict[int, str] = {}
        self._memory = GpuMemory()
        self._links = Links()
        self._events: list[Event] = []
        self._code: int | None = None

    def run(self, advise: Callable[[], Iterable[str]] = tuple) -> int:
        """Start everything, supervise it, and return the exit code once all has ended.

        `advise` returns what there is to say once the first processes have been started.
        """
        try:
            self._handle_signals()
            if self._code is None:
                self._happened(Begun())
                self._tend_links({})
                for text in advise():
                    self._outputs.print(text)
                if not self._fleet.stopping:
                    self._starter.read_ahead(self._prefetches)
            if self._code is None and self._endpoints is not None:
                self._service = self._open_service(self._endpoints)
            while self._code is None:
                self._wait()
        finally:
            self._starter.close()
            end_strangers(self._signals)  # even if a bug of ours ended the loop
            if self._service is not None:
                self._service.close()
            self._signals.close()
        self._outputs.finish()
        return self._code

    # From events to actions.

    def _happened(self, event: Event) -> None:
        """Let an event be decided upon; what it causes comes next, in order."""
        self._events.append(event)
        while self._events:
            self._fleet, actions = step(self._fleet, self._events.pop(0), time.monotonic())
            for action in actions:
                self._perform(action)
        self._starter.settle(self._fleet)
        names = {member.spec.name for member in self._fleet.members}
        self._outputs.keep(names | self._starter.names())
        if self._service is not None:
            self._service.tell()

    def _perform(self, action: Action) -> None:
        if isinstance(action, Start):
            self._events += map(self._note_start, self._starter.start(action.spec))
        elif isinstance(action, CallOff):
            if self._starter.call_off(action.name):
                self._events.append(CalledOff(name=action.name))
        elif isinstance(action, Terminate):
            child.send(self._fleet.member(action.name).pid, signal.SIGTERM)
        elif isinstance(action, Kill):
            leader = self._fleet.member(action.name).pid
            kill_leftovers(action.name, leader, Adopted(self._pids))
        elif isinstance(action, Clear):
            clear_leftovers(self._fleet.member(action.name).pid)
        elif isinstance(action, Say):
            member = self._fleet.find(action.name)
            self._outputs.say(action, member.spec if member else None)
        elif isinstance(action, Finish):
            self._code = action.code

    def _note_start(self, start: Outcome) -> Event:
        if isinstance(start, NotStarted):
            return SpawnFailed(name=start.name, reason=start.reason)
        spec = start.spec
        self._pids[start.pid] = spec.name
        self._outputs.began(spec.name, start)
        member = self._fleet.find(spec.name)
        kept = member is not None and bool(keepers_of(member, self._fleet))
        self._memory.began(spec, kept=kept)
        self._watches.begin(spec, time.monotonic())
        return Spawned(name=spec.name, pid=start.pid, forked=start.warm)

    def _open_service(self, endpoints: Endpoints) -> Service:
        # After the first start, which need not wait for these imports.
        from launcher.process.service import Service, Supervised  # noqa: PLC0415

        supervised = Supervised(
            fleet=lambda: self._fleet,
            notes=self._outputs.notes.describe,
            happened=self._happened,
            reload=None if self._reload is None else self._take_settings,
            say=self._outputs.print,
        )
        return Service(supervised, endpoints, self._environ)

    # Waiting.

    def _wait(self) -> None:
        """Sleep until something happens, and handle it."""
        self._memory.measure()
        names = self._outputs.names()
        ready = dict(self._watched(names).poll(self._patience()))
        for descriptor in ready.keys() & names.keys():
            self._read(names[descriptor])
        self._outputs.flush()
        self._tend_starts(ready)
        if self._signals.descriptor in ready:
            self._handle_signals()
        self._tend_watches(ready)
        if self._service is not None:
            self._service.tend(ready)
        self._tend_memory()
        deadline = self._fleet.deadline()
        if deadline is not None and deadline <= time.monotonic():
            self._note_gone()
            self._happened(TimePassed())
        self._tend_links(ready)  # last: they follow what has become of their members

    def _tend_starts(self, ready: dict[int, int]) -> None:
        for start in self._starter.tend(ready):
            self._happened(self._note_start(start))
            if isinstance(start, NotStarted):
                continue
            status = self._starter.claim(start.pid)
            if status is not None:  # it has ended before we were told of it
                self._note_end(start.pid, self._pids.pop(start.pid), status)

    def _read(self, name: str) -> None:
        self._outputs.read(name)
        self._watches.hurry(name, time.monotonic())

    def _watched(self, outputs: Iterable[int]) -> select.poll:
        """Return what to wait for, the outputs of processes among it."""
        poll = select.poll()
        for descriptor in (self._signals.descriptor, *outputs):
            poll.register(descriptor, select.POLLIN)
        self._watches.register(poll)
        self._outputs.register(poll)
        self._links.register(poll)
        self._starter.watch(poll)
        if self._service is not None:
            self._service.watch(poll)
        return poll

    def _patience(self) -> int | None:
        """Return the milliseconds until the nearest deadline, rounded up; None without one."""
        deadline = self._fleet.deadline()
        dues = [self._memory.due, self._starter.due, self._links.due, self._watches.due]
        times = [due for due in dues if due < NEVER]
        if deadline is not None:
            times.append(deadline)
        if self._service is not None and self._service.due < NEVER:
            times.append(self._service.due)
        if not times:
            return None
        return min(max(0, int((min(times) - time.monotonic()) * 1000) + 1), LONGEST_SLEEP_MS)

    def _handle_signals(self) -> None:
        for number in self._signals.read():
            if number == signal.SIGCHLD:
                continue
            if number == signal.SIGHUP and self._hangup_reloads:
                self._outputs.print("got SIGHUP")
                self._take_settings()
            elif number in STOPPING:
                if is_echo(self._fleet, time.monotonic()):
                    continue
                name = signal.Signals(number).name
                self._outputs.print(
                    f"got {name}: stopping" + (" now" if self._fleet.stopping else "")
                )
                self._happened(StopAsked())
            else:
                self._forward(signal.Signals(number))
        for pid, status in child.reap():
            if pid in self._pids:
                self._note_end(pid, self._pids.pop(pid), status)
            else:  # a stranger, adopted because we are its reaper, or a fork server
                self._starter.note_end(pid, status)
        self._note_gone()

    def _take_settings(self) -> tuple[bool, dict[str, object], str]:
        """Read the configuration again; broken settings change nothing.

        Returns whether they were taken, what they change, and their problems as text.
        """
        if self._reload is None:
            return False, {}, ""
        self._outputs.print("reading the configuration again")
        if self._service is not None:
            self._service.reloading(done=False)
        try:
            from launcher.process.status import describe_changes  # noqa: PLC0415  (reloads only)

            specs, text = self._reload()
            changes = describe_changes(self._fleet, specs or ())
        except (ImportError, OSError) as error:  # no descriptor is left, or our files are changing
            specs, text, changes = None, f"error: {error}".lower(), {}
        if text:
            self._outputs.write(f"{text}\n")
        if specs is None:
            self._outputs.print("the configuration cannot be used: everything stays as it is")
        else:
            self._happened(Reloaded(specs=specs))
        if self._service is not None:
            self._service.reloading(done=True)
        return specs is not None, changes if specs is not None else {}, text

    def _note_gone(self) -> None:
        """See whether what was left of members that have ended is gone.

        Their orphans are our children: when the last of them is reaped, we are here. Where the
        kernel does not let us adopt them, we look when the deadline has come.
        """
        ended = [m for m in self._fleet.members if m.status is not None and m.state.is_running()]
        if not ended:
            return
        adopted = Adopted(self._pids)
        for member in ended:
            name = member.spec.name
            if not has_leftovers(name, member.pid, adopted):
                self._happened(Gone(name=name))
            elif member.state is State.KILLED:  # by dying, some have left us their children
                kill_leftovers(name, member.pid, adopted)

    def _note_end(self, pid: int, name: str, status: ExitStatus) -> None:
        self._outputs.drain(name)  # its last words, before its end is told
        if self._fleet.member(name).spec.main:
            child.take_terminal(pid)
        self._outputs.notes.ended(name, status)
        if self._memory.ended(name, time.monotonic()):
            self._happened(MemoryOwed(name=name))
        left = has_leftovers(name, pid, Adopted(self._pids))
        self._happened(Ended(name=name, status=status, left=left))

    def _forward(self, number: signal.Signals) -> None:
        """Pass a signal on to the main program, as any init does."""
        for member in self._fleet.members:
            if member.spec.main and member.state.is_running():
                child.send(member.pid, number)

    def _tend_watches(self, ready: dict[int, int]) -> None:
        for name, watch in self._watches.tend(self._fleet, ready, time.monotonic()):
            if watch.sick:
                self._happened(Unhealthy(name=name, reason=watch.sick))
                continue
            doubt = self._answers.doubt(self._fleet.member(name), watch)
            if doubt:
                self._distrust(name, doubt)
                continue
            self._happened(Healthy(name=name))
            phases = self._outputs.phases(name)
            if phases:
                self._outputs.print(f"{name}: {phases}")

    def _distrust(self, name: str, doubt: str) -> None:
        """Start a forked server cold whose first answer is not what it should be."""
        self._outputs.print(f"{name}: {doubt}: it is started cold from now on")
        self._starter.distrust(name)
        self._happened(RestartOne(name=name))

    def _tend_links(self, ready: dict[int, int]) -> None:
        """Tend what holds together the parts of a server on several machines."""
        for event in self._links.tend(self._fleet, ready, time.monotonic(), self._outputs.print):
            self._happened(event)

    def _tend_memory(self) -> None:
        for name, text in self._memory.tend(time.monotonic()):
            if text:
                self._outputs.print(f"{name}: {text}")
            self._happened(MemoryReturned(name=name))
