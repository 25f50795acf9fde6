"""Starts processes: cold, or warm from a fork server, with a cold start where that fails."""

from __future__ import annotations

import os
import time

from launcher.errors import StartError
from launcher.process import child
from launcher.process.outcome import NotStarted, Started

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Mapping

    from launcher.process.fleet import Fleet
    from launcher.process.outcome import Outcome
    from launcher.process.outputs import Outputs
    from launcher.process.readahead import ReadAhead
    from launcher.process.spec import ExitStatus, Prefetch, ProcessSpec
    from launcher.process.warmth import Warmth


class Starter:
    """Starts the processes of a fleet."""

    def __init__(self, outputs: Outputs, environ: Mapping[str, str]) -> None:
        self._outputs = outputs
        self._environ = environ
        self._warmth: Warmth | None = None  # made with the first fork server
        self._readahead: ReadAhead | None = None

    def start(self, spec: ProcessSpec) -> list[Outcome]:
        """Start a process; one that is to be forked may come later, from `tend`."""
        if spec.probe is not None and spec.probe.socket_path:
            from launcher.process.ports import remove_dead_socket  # noqa: PLC0415  (few have one)

            remove_dead_socket(spec.probe.socket_path)
        try:
            output = self._outputs.open(spec)
        except StartError as error:
            return [NotStarted(name=spec.name, reason=error.message)]
        except OSError as error:  # no descriptor to be had: limits of user or container
            return [NotStarted(name=spec.name, reason=(error.strerror or str(error)).lower())]
        if spec.warm is None or output is None:
            return [self._start_cold(spec, output)]
        warmth = self._warmth = self._warmth or self._make_warmth()
        if warmth is None:
            return [self._start_cold(spec, output)]
        return warmth.start(spec, output, time.monotonic())

    def _make_warmth(self) -> Warmth | None:
        """Import what forks; sockets and JSON take half an interpreter's start."""
        try:
            from launcher.process.warmth import Warmth  # noqa: PLC0415
        except (ImportError, OSError):  # no descriptor is left, or our files are being replaced
            return None
        return Warmth(self._outputs, self._environ, self._start_cold)

    def _start_cold(self, spec: ProcessSpec, output: int | None) -> Outcome:
        asked_at = time.monotonic()
        try:
            pid = child.start(spec, self._environ, output)
        except StartError as error:
            return NotStarted(name=spec.name, reason=error.message)
        except OSError as error:  # no process to be had
            return NotStarted(name=spec.name, reason=(error.strerror or str(error)).lower())
        finally:
            if output is not None:
                os.close(output)
        return Started(spec=spec, pid=pid, asked_at=asked_at)

    def read_ahead(self, orders: tuple[Prefetch, ...]) -> None:
        """Have weights read while servers import, by a process that nobody waits for."""
        if not orders:
            return
        try:
            from launcher.process.readahead import ReadAhead  # noqa: PLC0415  (after the starts)

            self._readahead = ReadAhead(orders, self._environ, self._outputs.print)
        except (ImportError, OSError):
            return  # no descriptor is left, or our files are being replaced

    # Fork servers, and the reader of weights, where there are any.

    @property
    def due(self) -> float:
        """When to tend even if nothing happens."""
        return self._warmth.due if self._warmth else float("inf")

    def names(self) -> set[str]:
        """Return the names of the fork servers, which have outputs too."""
        return self._warmth.names() if self._warmth else set()

    def watch(self, poll: select.poll) -> None:
        """Register all that may become ready."""
        if self._warmth:
            self._warmth.watch(poll)
        if self._readahead:
            self._readahead.watch(poll)

    def tend(self, ready: Mapping[int, int]) -> list[Outcome]:
        """Return what has come of the starts under way."""
        if self._readahead:
            self._readahead.tend(ready)
        return self._warmth.tend(ready, time.monotonic()) if self._warmth else []

    def settle(self, fleet: Fleet) -> None:
        """End the fork servers, and the reader, that are not needed any more."""
        if self._warmth:
            self._warmth.settle(fleet)
        if self._readahead:
            self._readahead.settle(fleet)

    def call_off(self, name: str) -> bool:
        """Call off a start under way; tell whether there was one."""
        return self._warmth is not None and self._warmth.call_off(name)

    def note_end(self, pid: int, status: ExitStatus) -> None:
        """Note the end of a child that is no member of the fleet: it may be a fork server's."""
        if self._readahead and self._readahead.note_end(pid, status):
            self._readahead = None
        elif self._warmth:
            self._warmth.note_end(pid, status)

    def claim(self, pid: int) -> ExitStatus | None:
        """Return how a process ended of which we have been told only now; None: it has not."""
        return self._warmth.claim(pid) if self._warmth else None

    def distrust(self, name: str) -> None:
        """Start this one cold from now on."""
        if self._warmth:
            self._warmth.distrusted.add(name)

    def close(self) -> None:
        """End the fork servers, and the reader."""
        if self._warmth:
            self._warmth.close()
        if self._readahead:
            self._readahead.close()
