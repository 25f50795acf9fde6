"""How far an installation is, as lines on standard error."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

LINE_S = 5.0  # between two lines of one step
UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


class Progress:
    """Says what is being done, and how much of it is done, every few seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._step = ""
        self._shown = 0.0

    def say(self, text: str) -> None:
        """Print a line; where nobody reads any more, that is no reason to end half-way."""
        try:
            print(f"vllmd: bundle: {text}", file=self._stream, flush=True)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def begin(self, step: str) -> None:
        """Begin a step."""
        self._step, self._shown = step, time.monotonic()
        self.say(step)

    def bytes_done(self, done: int, total: int) -> None:
        """Tell how many bytes of the step are done."""
        if self._is_due():
            self.say(f"{self._step}: {render_size(done)} of {render_size(total)}")

    def count_done(self, done: int, total: int) -> None:
        """Tell which part of the step is done."""
        if self._is_due():
            self.say(f"{self._step}: {100 * done // max(total, 1)} %")

    def _is_due(self) -> bool:
        now = time.monotonic()
        if now - self._shown < LINE_S:
            return False
        self._shown = now
        return True


def render_size(size: int) -> str:
    """Write a size in bytes for people."""
    for unit, factor in UNITS:
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
