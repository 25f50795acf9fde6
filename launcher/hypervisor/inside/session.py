"""Run the entrypoint, tell the host how it is, and stop it when the power button is pressed."""

from __future__ import annotations

import os
import select
import signal
import time

from launcher.hypervisor.inside.launcher_status import ask_status
from launcher.hypervisor.inside.report import (
    ENDED,
    RUNNING,
    Report,
    read_instances,
    render_report,
)
from launcher.process.signals import SignalPipe
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.hypervisor.inside.button import PowerButton
    from launcher.hypervisor.inside.channel import Channel

STOPPING = {signal.SIGTERM, signal.SIGINT}
# How often the launcher is asked: while something starts, and when all is settled.
BUSY_S, CALM_S = 0.25, 2.0
REPEAT_S = 10.0  # a host that begins to listen late hears of us within this
FLUSH_S = 1.0


class Session:
    """One run of the entrypoint. As PID 1 it also reaps whatever loses its parent."""

    def __init__(
        self, environ: Mapping[str, str], channel: Channel, button: PowerButton | None
    ) -> None:
        self._environ = environ
        self._channel = channel
        self._button = button
        self._signals = SignalPipe()
        self._report = Report()
        self._sent_at = 0.0
        self._pid = 0
        self._exit_code: int | None = None
        self._is_pressed = False

    def say(self, message: str) -> None:
        """Tell the host something, with the state of now."""
        self._update(replace(self._report, message=message))

    def run(self, words: tuple[str, ...], control_socket: str = "") -> int:
        """Run the entrypoint to its end; return its exit code, 128 + signal where one ended it."""
        try:
            self._pid = os.posix_spawn(
                words[0], words, self._environ, setsid=True, setsigdef=[signal.SIGPIPE]
            )
        except OSError as error:
            self.end(126, f"cannot execute '{words[0]}': {error.strerror}")
            return 126
        while self._exit_code is None:
            self._wait()
            self._reap()
            if self._exit_code is None:
                self._look(control_socket)
        self.end(self._exit_code)
        return self._exit_code

    def end(self, exit_code: int, message: str = "") -> None:
        """Say that the entrypoint has ended, and give the host a moment to hear it."""
        message = message or self._report.message
        ended = Report(entrypoint=ENDED, exit_code=exit_code, message=message)
        self._update(ended)
        deadline = time.monotonic() + FLUSH_S
        while not self._channel.pump() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _wait(self) -> None:
        """Wait for a signal or the button, and for the time to look at the instances again."""
        poll = select.poll()
        buttons = self._button.descriptors if self._button else []
        for descriptor in (self._signals.descriptor, *buttons):
            poll.register(descriptor, select.POLLIN)
        pause_s = CALM_S if self._report.is_settled() else BUSY_S
        for descriptor, _ in poll.poll(pause_s * 1000):
            if self._button and self._button.was_pressed(descriptor):
                self._on_button()
        if not STOPPING.isdisjoint(self._signals.read()):
            self._stop("asked to stop")

    def _on_button(self) -> None:
        """Stop at the first press, and let the servers finish whatever comes after it.

        A host presses again and again while it waits, for a press may get lost: that is the same
        wish, and no second signal, at which the launcher would cut its servers' requests off.
        """
        if not self._is_pressed:
            self._is_pressed = True
            self._stop("the power button was pressed")

    def _stop(self, reason: str) -> None:
        """Let the launcher stop its servers; when asked again, it does so at once."""
        print(f"vllmd: {reason}: stopping the servers", flush=True)
        os.kill(self._pid, signal.SIGTERM)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid:
                code = os.waitstatus_to_exitcode(status)
                self._exit_code = code if code >= 0 else 128 - code

    def _look(self, control_socket: str) -> None:
        status = ask_status(self._environ, control_socket)
        if status is None:
            self._update(self._report)
            return
        instances = read_instances(status)
        self._update(replace(self._report, entrypoint=RUNNING, instances=instances))

    def _update(self, report: Report) -> None:
        now = time.monotonic()
        if report != self._report or not self._sent_at or now - self._sent_at >= REPEAT_S:
            self._report, self._sent_at = report, now
            self._channel.send(render_report(report))
        else:
            self._channel.pump()
