"""The health of one server: until it is ready, and as long as it is.

While a server starts, `GET /health` is sent often, and at once when it says something. A ready one
is asked every `liveness_interval_s`; after a failure every 5 s, until it answers again or has
failed `liveness_failures` times in a row.
"""

from __future__ import annotations

from launcher.process.exchange import Exchange, render_get

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.spec import Probe, ProcessSpec

SOONEST_S = 0.2  # between two requests while a server starts
LATEST_S = 1.0
ANSWER_S = 5.0  # a request that takes longer is given up
LIVENESS_ANSWER_S = 20.0  # a server that generates with all its cores answers late
RECHECK_S = 5.0
HEALTHY = 200


class HealthWatch:
    """Watches one server. Poll `descriptor` for `events`; call `tend` then, and when `due` comes.

    `healthy` turns true with the first good answer; `sick` is the reason why a server that was
    healthy counts as dead, empty while it does not.
    """

    def __init__(self, spec: ProcessSpec, probe: Probe, now: float) -> None:
        self.healthy = False
        self.sick = ""
        self.due = now + SOONEST_S
        self._spec = spec
        self._probe = probe
        self._began = now
        self._failures = 0
        self._exchange: Exchange | None = None

    @property
    def descriptor(self) -> int | None:
        """What to poll; None while no request is under way."""
        return self._exchange.descriptor if self._exchange is not None else None

    @property
    def events(self) -> int:
        """What to poll it for."""
        return self._exchange.events if self._exchange is not None else 0

    def tend(self, now: float) -> None:
        """Send a request, read its answer, or give it up; then plan the next."""
        if self._exchange is None:
            try:
                self._exchange = Exchange(self._probe, render_get(self._probe, self._probe.path))
            except OSError:  # we have no descriptor left: that says nothing about the server
                self.due = now + RECHECK_S
                return
            self.due = now + (LIVENESS_ANSWER_S if self.healthy else ANSWER_S)
            self._exchange.tend()  # on this machine, the connection is there already
        elif now >= self.due:
            self._exchange.give_up(f"no answer within {LIVENESS_ANSWER_S:g} s")
        else:
            self._exchange.tend()
        if self._exchange.done:
            self._judge(self._exchange, now)
            self._exchange = None

    def hurry(self, now: float) -> None:
        """Ask soon: a server that starts has just said something."""
        if not self.healthy and self._exchange is None:
            self.due = min(self.due, now + SOONEST_S / 4)

    def close(self) -> None:
        """Give up a request under way."""
        if self._exchange is not None:
            self._exchange.close()

    def _judge(self, exchange: Exchange, now: float) -> None:
        good = exchange.status == HEALTHY
        if not self.healthy:
            self.healthy = good
            pause = min(LATEST_S, max(SOONEST_S, (now - self._began) / 100))
            self.due = now + (self._interval() if good else pause)
            return
        self._failures = 0 if good else self._failures + 1
        self.due = now + (self._interval() if good else RECHECK_S)
        if self._failures >= self._spec.liveness_failures:
            answer = f"status {exchange.status}" if exchange.status else exchange.error
            times = f"{self._failures} time{'s' if self._failures > 1 else ''} in a row"
            self.sick = f"not healthy {times} ({answer} from {self._probe.path})"

    def _interval(self) -> float:
        return self._spec.liveness_interval_s or float("inf")
