"""The health of one server: until it is ready, and as long as it is.

While a server starts, `GET /health` is sent often, and at once when it says something. One that may
be forked is asked for a token before it counts as ready. A ready one is asked every
`liveness_interval_s`; after a failure every 5 s, until it answers again or has failed
`liveness_failures` times in a row. With a canary the question to a ready one is a request for one
token; with `stall_timeout_s` its counters are read after each good answer.
"""

from __future__ import annotations

from launcher.process.canary import (
    METRICS,
    Stall,
    note_progress,
    read_progress,
    read_token,
    render_generate,
)
from launcher.process.exchange import Exchange, render_get

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.process.spec import Probe, ProcessSpec

SOONEST_S = 0.2  # between two requests while a server starts
LATEST_S = 1.0
FIRST_TOKEN_S = 60.0  # an engine may compile for it
ANSWER_S = 5.0  # a request that takes longer is given up
RECHECK_S = 5.0
HEALTHY = 200
REFUSED = range(400, 500)  # the server works, and does not do what the canary asks


class HealthWatch:
    """Watches one server. Poll `descriptor` for `events`; call `tend` then, and when `due` comes.

    `healthy` turns true with the first good answer; `sick` is the reason why a server that was
    healthy counts as dead, empty while it does not.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        probe: Probe,
        now: float,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Watch from now on. `environ` is what the server inherits: its key may be in there."""
        self.healthy = False
        self.sick = ""
        self.token = ""  # the first one, of a server that may be forked
        self.no_token = ""  # why it gave none; empty also if it does not do that
        self.due = now + SOONEST_S
        self._spec = spec
        self._probe = probe
        self._environ = environ or {}
        self._began = now
        self._failures = 0
        self._exchange: Exchange | None = None
        self._canary = bool(probe.canary)
        self._model = spec.warm.model if spec.warm else ""
        self._first = False  # the request under way is for the first token
        self._counting = False  # the request under way is for the counters
        self._trouble = ""  # what the canary got, while the counters are asked whether it matters
        self._stall = Stall()

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
            self._ask(self._question(), now)
        else:
            self._exchange.tend()  # also when it is due: it was we who may have been held up
            if now >= self.due:
                self._exchange.give_up(f"no answer within {self._limit():g} s")
        while self._exchange is not None and self._exchange.done:
            exchange, self._exchange = self._exchange, None
            self._judge(exchange, now)

    def hurry(self, now: float) -> None:
        """Ask soon: a server that starts has just said something."""
        if not self.healthy and self._exchange is None:
            self.due = min(self.due, now + SOONEST_S / 4)

    def close(self) -> None:
        """Give up a request under way."""
        if self._exchange is not None:
            self._exchange.close()

    def _question(self) -> bytes:
        if self.healthy and self._canary:
            return render_generate(self._spec, self._probe, self._environ, self._probe.canary)
        return render_get(self._probe, self._probe.path)

    def _limit(self) -> float:
        """Return the seconds that the request under way may take."""
        if self._first:
            return FIRST_TOKEN_S
        return self._spec.liveness_timeout_s if self.healthy else ANSWER_S

    def _ask(self, request: bytes, now: float) -> None:
        try:
            whole = self._first or self._counting  # of others, the status says all
            self._exchange = Exchange(self._probe, request, whole=whole)
        except OSError:  # we have no descriptor left: that says nothing about the server
            self._counting, self._trouble, self._first = False, "", False
            self.due = now + RECHECK_S
            return
        self.due = now + self._limit()
        self._exchange.tend()  # on this machine, the connection is there already

    def _judge(self, exchange: Exchange, now: float) -> None:
        good = exchange.status == HEALTHY
        if self._first:
            self._judge_token(exchange, now, good=good)
        elif not self.healthy and good and self._model:
            self._first = True
            self._ask(render_generate(self._spec, self._probe, self._environ, self._model), now)
        elif not self.healthy:
            self.healthy = good
            pause = min(LATEST_S, max(SOONEST_S, (now - self._began) / 100))
            self.due = now + (self._interval() if good else pause)
        elif self._counting:
            self._judge_counters(exchange, now)
        else:
            self._judge_liveness(exchange, now, good=good)

    def _judge_token(self, exchange: Exchange, now: float, *, good: bool) -> None:
        self._first = False
        self.healthy = True
        self.due = now + self._interval()
        if good:
            self.token = read_token(exchange.body)
        elif exchange.status not in REFUSED:
            self.no_token = f"status {exchange.status}" if exchange.status else exchange.error

    def _judge_liveness(self, exchange: Exchange, now: float, *, good: bool) -> None:
        if self._canary and exchange.status in REFUSED:
            self._canary = False  # an embedding model, for one: `/health` is all there is to ask
            good = True
        if not good:
            self._trouble = f"status {exchange.status}" if exchange.status else exchange.error
        if (good and self._spec.stall_timeout_s) or (self._canary and not good):
            self._counting = True
            self._ask(render_get(self._probe, METRICS), now)
            return
        self._conclude(now)

    def _judge_counters(self, exchange: Exchange, now: float) -> None:
        self._counting = False
        progress = read_progress(exchange.body) if exchange.status == HEALTHY else None
        former, self._stall = self._stall, note_progress(self._stall, progress, now)
        limit_s = self._spec.stall_timeout_s
        if limit_s and self._stall.since is not None and now - self._stall.since >= limit_s:
            self.sick = f"requests are running, but no token has come for {limit_s:g} s"
        if progress is not None and former.tokens not in {None, progress.tokens}:
            self._trouble = ""  # the canary waits its turn behind others' requests
        self._conclude(now)

    def _conclude(self, now: float) -> None:
        """Count a failure, or forget the former ones, and plan the next question."""
        trouble, self._trouble = self._trouble, ""
        self._failures = self._failures + 1 if trouble else 0
        self.due = now + (min(RECHECK_S, self._interval()) if trouble else self._interval())
        if self._failures >= self._spec.liveness_failures:
            times = f"{self._failures} time{'s' if self._failures > 1 else ''} in a row"
            asked = "a request for one token" if self._canary else self._probe.path
            self.sick = f"not healthy {times} ({trouble} from {asked})"

    def _interval(self) -> float:
        interval_s = self._spec.liveness_interval_s or float("inf")
        return min(interval_s, self._spec.stall_timeout_s / 2 or interval_s)
