"""The progress of a batch: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from launcher.client.batch.progress import Tally
from launcher.client.timeouts import render_duration

if TYPE_CHECKING:
    from typing import Self, TextIO

try:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
except ModuleNotFoundError:  # it is optional
    Progress = None  # type: ignore[assignment,misc]

LINE_S = 10.0
SAMPLES = 60  # of the rate, one a second
SURE_S = 30.0  # a rate is worth a warning after that time


class Rate:
    """How many results there were in a second, over the last minute."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)

    def note(self, now: float, count: int) -> None:
        """Note how many results there are at some second."""
        if not self._samples or now - self._samples[-1][0] >= 1:
            self._samples.append((now, count))

    def per_s(self, now: float, count: int) -> float:
        """Return the rate; 0 where nothing is known."""
        if not self._samples:
            return 0.0
        then, before = self._samples[0]
        return (count - before) / (now - then) if now > then else 0.0


class BatchShow:
    """Lines on a stream. Use as `with`; `limit_s` is the time that the batch may take."""

    def __init__(self, stream: TextIO, limit_s: float | None) -> None:
        self._stream = stream
        self._limit_s = limit_s
        self._began = time.monotonic()
        self._shown = self._began
        self._warned = False
        self._rate = Rate()
        self._tally = Tally()

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the show."""

    def begin(self, tally: Tally) -> None:
        """Say what there is to do."""
        self._tally = tally
        self._rate.note(time.monotonic(), tally.finished)
        before = f", {tally.earlier} of them have a result" if tally.earlier else ""
        limit = "no time limit"
        if self._limit_s is not None:
            limit = f"at most {render_duration(self._limit_s * 1000)} (--timeout)"
        self.say(f"{tally.total} requests{before}; {limit}")

    def update(self, tally: Tally) -> None:
        """Show that there is one more result."""
        now = time.monotonic()
        self._rate.note(now, tally.finished)
        self._warn(now)
        if now - self._shown >= LINE_S:
            self._shown = now
            self.say(f"{self.summary()}, {self.speed()}")

    def say(self, text: str) -> None:
        """Print a line."""
        print(f"vllmd: batch: {text}", file=self._stream, flush=True)

    def summary(self) -> str:
        """Say how many requests have a result."""
        failed = f", {self._tally.failed} failed" if self._tally.failed else ""
        return f"{self._tally.finished} of {self._tally.total} have a result{failed}"

    def speed(self) -> str:
        """Say the rate, and the time left at that rate."""
        per_s = self._rate.per_s(time.monotonic(), self._tally.finished)
        if not per_s:
            return "0/s"
        left_s = (self._tally.total - self._tally.finished) / per_s
        return f"{per_s:.1f}/s, {render_duration(max(left_s, 1) * 1000)} left"

    def _warn(self, now: float) -> None:
        """Say early that the time will not suffice."""
        spent = now - self._began
        if self._warned or self._limit_s is None or spent < SURE_S:
            return
        per_s = self._rate.per_s(now, self._tally.finished)
        left = self._tally.total - self._tally.finished
        if per_s and spent + left / per_s > self._limit_s:
            self._warned = True
            whole = render_duration((spent + left / per_s) * 1000)
            limit = render_duration(self._limit_s * 1000)
            self.say(
                f"at this rate it takes {whole}, and its time is {limit}: it may be ended and "
                "started again with a longer --timeout, and goes on where it was"
            )


class BarShow(BatchShow):
    """A bar on a terminal."""

    def __init__(self, stream: TextIO, limit_s: float | None) -> None:
        super().__init__(stream, limit_s)
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=Console(file=stream),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        """Draw the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        self._bar.stop()

    def update(self, tally: Tally) -> None:
        """Show that there is one more result."""
        now = time.monotonic()
        self._rate.note(now, tally.finished)
        self._warn(now)
        failed = f", {tally.failed} failed" if tally.failed else ""
        self._bar.update(
            self._task,
            total=tally.total,
            completed=tally.finished,
            description=f"{self.speed()}{failed}",
        )

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(
            f"vllmd: batch: {text}", markup=False, highlight=False, soft_wrap=True
        )


def new_show(stream: TextIO, limit_s: float | None) -> BatchShow:
    """Return a bar where the stream is a terminal and rich is installed, else lines."""
    if Progress is not None and stream.isatty():
        return BarShow(stream, limit_s)
    return BatchShow(stream, limit_s)
