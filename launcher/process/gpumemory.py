"""Has the memory of a dead server come back? Its successor must not be started before.

The driver frees what a process held some time after it has died, and vLLM refuses to start, or
takes too little, where memory is missing then. So the use of its GPUs is noted when a server is
started, and after its end we wait until it has fallen to that again: `WAIT_S` at most, and no
longer than it falls, because neighbours on the GPU may have grown meanwhile. Where another process
keeps the server's weights, which it loads after that start, it is only the fall that counts.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.spec import ProcessSpec

WAIT_S = 30.0
SETTLED_S = 10.0  # without any fall: what is there is not the dead server's
KEPT_SETTLED_S = 1.5  # the same, where weights are kept: what is there may well be those
LOOK_S = 0.5
NEVER = float("inf")
EVERY_GPU = "all"


class _Debt:
    """What a dead server still holds."""

    def __init__(self, now: float) -> None:
        self.until = now + WAIT_S
        self.excess = 0
        self.fell_at = now


class GpuMemory:
    """Looks at the memory of GPUs, at each start and after each end. `tend` it when `due`."""

    def __init__(self) -> None:
        self.due = NEVER
        self._gpus: dict[str, tuple[str, ...]] = {}
        self._kept: set[str] = set()
        self._unmeasured: list[str] = []
        self._baselines: dict[str, dict[str, int]] = {}
        self._debts: dict[str, _Debt] = {}

    def began(self, spec: ProcessSpec, *, kept: bool) -> None:
        """Note a start, of one whose weights are `kept` or not.

        Its GPUs are looked at with `measure`.
        """
        gpus = tuple(gpu for gpu in spec.locks if gpu != EVERY_GPU)
        (self._kept.add if kept else self._kept.discard)(spec.name)
        if gpus:
            self._gpus[spec.name] = gpus
            self._unmeasured.append(spec.name)

    def measure(self) -> None:
        """Note what is in use, for those that were started: they load for seconds before more."""
        if not self._unmeasured:
            return
        from launcher.process.nvml import used_memory  # noqa: PLC0415  (ctypes; GPUs only)

        for name in self._unmeasured:
            used = used_memory(self._gpus[name])
            former = self._baselines.get(name, {})
            # After a start with a debt, what was in use before the debt is what counts.
            self._baselines[name] = {
                gpu: min(now, former.get(gpu, now)) for gpu, now in used.items()
            }
        self._unmeasured.clear()

    def ended(self, name: str, now: float) -> bool:
        """Note an end; tell whether its memory has to be waited for."""
        if name in self._unmeasured:
            self._unmeasured.remove(name)  # it ended before it could take any
        if not self._baselines.get(name):
            return False
        self._debts[name] = _Debt(now)
        self.due = now
        return True

    def tend(self, now: float) -> list[tuple[str, str]]:
        """Look again; return who owes nothing any more, with what there is to say about it."""
        if now < self.due:
            return []
        settled = [(name, self._look(name, debt, now)) for name, debt in self._debts.items()]
        over = [(name, text) for name, text in settled if text is not None]
        for name, _ in over:
            del self._debts[name]
        self.due = now + LOOK_S if self._debts else NEVER
        return over

    def _look(self, name: str, debt: _Debt, now: float) -> str | None:
        """Return what to say at the end of the wait; None to wait on."""
        from launcher.process.nvml import not_returned, used_memory  # noqa: PLC0415  (see above)

        missing = not_returned(used_memory(self._gpus[name]), self._baselines[name])
        if not missing:
            return ""
        excess = sum(missing.values())
        if excess < debt.excess or not debt.excess:
            debt.fell_at = now
        debt.excess = excess
        kept = name in self._kept
        if now < debt.until and now - debt.fell_at < (KEPT_SETTLED_S if kept else SETTLED_S):
            return None
        if kept:
            return ""
        shown = ", ".join(f"{gpu} ({more / 2**30:.1f} GiB)" for gpu, more in missing.items())
        return f"more memory than before its start is in use on GPU {shown}: not waiting longer"
