"""Everything that is written: the servers' logs, their lines on our stdout, and our own words."""

from __future__ import annotations

import os
import select
import time

from launcher.process.console import Console
from launcher.process.logfile import LogFile
from launcher.process.notes import Notes
from launcher.process.relay import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.events import Say
    from launcher.process.outcome import Started
    from launcher.process.spec import ProcessSpec

LAST_LINES = 12  # shown of a process that failed
READER_S = 1.0  # how long at the end a reader of our streams may take for each piece


class Outputs:
    """The outputs of all processes of a fleet, by the processes' names."""

    def __init__(self, specs: tuple[ProcessSpec, ...]) -> None:
        """Open every log.

        Raises:
            StartError: a log cannot be opened.
        """
        self.notes = Notes()
        self._logs = {spec.name: LogFile(spec.log) for spec in specs if spec.log is not None}
        self._out = Console(1)
        self._err = Console(2)
        self._relays: dict[str, Relay] = {}
        self._paused: set[str] = set()  # whose log a full disk has paused

    def open(self, spec: ProcessSpec) -> int | None:
        """Make the pipe for a process's output; None where it has our own streams.

        Raises:
            StartError: its log cannot be opened.
        """
        if spec.log is None:
            return None
        self._close_relay(spec.name)
        log = self._logs.get(spec.name)
        if log is None or log.spec != spec.log:
            self._logs[spec.name] = LogFile(spec.log)
            if log is not None:
                log.close()
        reader, writer = os.pipe()
        console = self._out if spec.foreground else None
        relay = Relay(reader, self._logs[spec.name], console, f"[{spec.name}] ")
        self._relays[spec.name] = relay
        return writer

    def began(self, name: str, start: Started) -> None:
        """Note that a process runs: its start is timed from when it was asked for."""
        self.notes.began(name, self._relays.get(name), start)

    def phases(self, name: str) -> str:
        """Say what the start of a process was made of, now that it is healthy."""
        return self.notes.became_healthy(name, self._relays.get(name))

    def names(self) -> dict[int, str]:
        """Return whose output each open pipe holds, by its descriptor."""
        relays = self._relays.items()
        return {relay.descriptor: name for name, relay in relays if not relay.finished}

    def register(self, poll: select.poll) -> None:
        """Wait for the readers of our streams too, where something is kept for them."""
        for console in (self._out, self._err):
            if console.is_behind:
                poll.register(console.descriptor, select.POLLOUT)

    def flush(self) -> None:
        """Write what is kept for the readers of our streams, as far as they take it."""
        for console in (self._out, self._err):
            console.flush()

    def read(self, name: str) -> None:
        """Pass on a piece of a process's output."""
        relay = self._relays[name]
        relay.read()
        if relay.log_is_full and name not in self._paused:
            self._paused.add(name)
            self.print(f"{name}: the log cannot be written (disk full?): output is being lost")
        elif not relay.log_is_full and name in self._paused:
            self._paused.discard(name)
            log = self._logs[name]
            self.print(f"{name}: the log can be written again: {log.told} bytes were lost")
            log.told = 0

    def drain(self, name: str) -> None:
        """Pass on all that a process has written: its last words."""
        relay = self._relays.get(name)
        if relay is not None:
            relay.drain()

    def keep(self, names: set[str]) -> None:
        """Close what belonged to processes other than these: new settings do not have them."""
        for name in self._relays.keys() - names:
            self._close_relay(name)
        for name in self._logs.keys() - names:
            self._logs.pop(name).close()

    def finish(self) -> None:
        """Write everything that is left and close the logs; a slow reader is not waited for."""
        self.keep(set())
        self._out.finish(READER_S)
        self._err.finish(READER_S)

    def say(self, action: Say, spec: ProcessSpec | None) -> None:
        """Tell the user; of a failure its last lines, what it was, and what to do about it."""
        self.print(f"{action.name}: {action.text}")
        relay = self._relays.get(action.name)
        if not action.bad or relay is None or spec is None:  # None: gone with the last reload
            return
        # The output of a foreground server is on our stdout already.
        shown = [] if spec.foreground else relay.last_lines(LAST_LINES)
        for line in shown:
            self.write(f"    | {line}\n")
        if spec.log is not None:
            self.print(f"{action.name}: the whole log is in {spec.log.path}")
        self._explain(action, relay, shown)

    def print(self, text: str) -> None:
        """Write one message of ours to stderr."""
        self.write(f"{time.strftime('%H:%M:%S')} vllmd: {text}\n")

    def write(self, text: str) -> None:
        """Write to stderr as it stands."""
        self._err.write(text.encode())

    def _explain(self, action: Say, relay: Relay, shown: list[str]) -> None:
        name = action.name
        found = self.notes.failed(name, relay.recent(), action.text)
        if found is None or not found.is_known():
            return
        self.print(f"{name}: it was: {found.what}")
        if found.line and not any(found.line in line for line in shown):
            self.write(f"    > {found.line}\n")
        self.print(f"{name}: hint: {found.advice}")

    def _close_relay(self, name: str) -> None:
        relay = self._relays.pop(name, None)
        if relay is not None:
            relay.drain()
            relay.close()
