"""Leave a guest to a process of its own, and come back once it runs."""

from __future__ import annotations

import os
import sys

from launcher.errors import EX_SOFTWARE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = b"."


class Detached:
    """A forked copy of us, in a session of its own."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reading)
            os.setsid()
        else:
            os.close(self._writing)

    @property
    def is_child(self) -> bool:
        """Tell in which of the two we are."""
        return self.pid == 0

    def leave(self) -> None:
        """In the child: say that the guest runs, and let go of the terminal."""
        sys.stdout.flush()
        sys.stderr.flush()
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        os.close(nothing)
        os.write(self._writing, RUNS)
        os.close(self._writing)

    def wait(self) -> int:
        """In the parent: return 0 once the guest runs, or the code of who could not start it."""
        with os.fdopen(self._reading, "rb") as reading:
            if reading.read(1) == RUNS:
                return 0
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status) or 1

    def run(self, work: Callable[[], int]) -> None:
        """In the child: do the work, and end; never come back into the parent's code."""
        code = EX_SOFTWARE
        try:
            code = work()
        except BaseException:  # noqa: BLE001  (the outermost net of this process)
            import traceback  # noqa: PLC0415  (for a bug only)

            traceback.print_exc()
        finally:
            try:
                sys.stderr.flush()
            finally:  # whoever read it may have gone
                os._exit(code)
