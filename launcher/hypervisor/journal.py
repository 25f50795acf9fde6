"""What `start` says about a guest: to people, to systemd, and to `status`."""

from __future__ import annotations

import json
import sys
import time

from launcher.config.printable import printable
from launcher.hypervisor.herald import Herald
from launcher.hypervisor.report import RUNNING, describe_report, summarize_report
from launcher.hypervisor.rundir import GUEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.console import Console
    from launcher.hypervisor.report import GuestReport
    from launcher.hypervisor.rundir import RunDir
    from launcher.hypervisor.state import GuestState

LEVELS = DEBUG, INFO, WARN, ERROR = ("DEBUG", "INFO", "WARN", "ERROR")
WRITE_S = 0.2  # between two reports written down: a guest may send as many as it likes
SPARE_S = 10.0  # beyond the ladder, before systemd may lose patience
BOOT_S = 600.0  # what systemd is asked for while a guest boots


class Journal:
    """Lines on standard error, or in the guest's log where it is detached."""

    def __init__(self, rundir: RunDir, console: Console, address: str, level: str) -> None:
        """Take the value of NOTIFY_SOCKET, and which lines are wanted: from this level on."""
        self._rundir = rundir
        self._console = console
        self._threshold = LEVELS.index(level)
        self.detached = False
        self._herald = Herald(address)
        self._herald.extend(BOOT_S)
        self._herald.status("the VMM starts")
        self._pending: GuestReport | None = None
        self._summary = ""
        self._written = 0.0
        self.due: float | None = None

    def tell(self, line: str, level: str = INFO) -> None:
        """Say something to whoever watches."""
        if LEVELS.index(level) < self._threshold:
            return
        text = f"vllmd-hypervisor: {printable(line)}\n"
        if self.detached:
            self._console.write(text.encode())
        else:
            sys.stderr.write(text)
            sys.stderr.flush()

    def running(self, state: GuestState) -> None:
        """Say that the guest runs; ready it is only once it says so, if it will."""
        backend = f"{state.backend} {state.version} with {state.accelerator}"
        self.tell(f"guest '{state.name}' runs on {backend}: {state.why}")
        self._herald.status("the guest boots" if state.reports else "the guest runs")
        if not state.reports:
            self._herald.ready()

    def stopping(self, line: str, grace_s: float) -> None:
        """Say that the guest is being stopped."""
        self.tell(line)
        self._herald.status(line)
        self._herald.stopping(grace_s + SPARE_S)

    def take_report(self, report: GuestReport, now: float) -> None:
        """Keep the latest report of the guest; `flush` writes it down."""
        self._pending = report
        self.due = max(now, self._written + WRITE_S)

    def flush_all(self) -> None:
        """Write down the last report, which nobody can follow: the guest has ended."""
        if self.due is not None:
            self.flush(self.due)

    def flush(self, now: float) -> None:
        """Write down the latest report, if it is time."""
        report = self._pending
        if report is None or self.due is None or now < self.due:
            return
        self._pending, self.due, self._written = None, None, now
        values = {"received_at": time.time(), **describe_report(report)}
        self._rundir.write(GUEST, json.dumps(values).encode() + b"\n")
        summary = summarize_report(report)
        if summary != self._summary:
            self._summary = summary
            self.tell(f"guest: {summary}")
            self._herald.status(summary)
        if report.entrypoint == RUNNING:
            self._herald.ready()
