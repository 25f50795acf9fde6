"""What a server does between its start and its first healthy answer, from its log. Pure.

The lines are those of vLLM 0.32 (on a CPU and on GPUs); a line that is not among them says
nothing. Each phase ends where its line comes; what a phase took is the time since the one before.
"""

from __future__ import annotations

from launcher.record import record, replace

# Phase -> the words whose line ends it. Source below `vllm/`, or of uvicorn.
_MARKS: tuple[tuple[str, bytes], ...] = (
    ("import", b"non-default args:"),  # entrypoints/serve/utils/api_utils.py
    ("config", b"Initializing a V1 LLM engine"),  # v1/engine/core.py
    ("workers", b"Starting to load model"),  # v1/worker/{gpu,cpu}_model_runner.py
    ("weights", b"Loading weights took"),  # model_executor/model_loader/default_loader.py
    ("compile", b"torch.compile took"),  # compilation/monitor.py
    ("graphs", b"Graph capturing finished"),  # v1/worker/gpu_model_runner.py
    ("engine", b"init engine (profile"),  # v1/engine/core.py
    ("listening", b"Application startup complete"),  # uvicorn/lifespan/on.py
)
FORK = "fork"  # until a fork server had imported vLLM, and forked
FIRST_LINE = "first line"
HEALTHY = "healthy"


@record
class Timeline:
    """When each phase ended, in seconds since the start of the process, in the order seen."""

    started: float  # of a monotonic clock
    marks: tuple[tuple[str, float], ...] = ()

    def reached(self, name: str) -> bool:
        """Tell whether a phase has ended."""
        return any(name == each for each, _ in self.marks)


def note_output(timeline: Timeline, data: bytes, now: float) -> Timeline:
    """Return the timeline after some output, whole lines, that came just now."""
    is_first = data and not timeline.reached(FIRST_LINE)
    found = [(FIRST_LINE, now - timeline.started)] if is_first else []
    for name, words in _MARKS:
        if words in data and not timeline.reached(name):
            found.append((name, now - timeline.started))
    return replace(timeline, marks=(*timeline.marks, *found)) if found else timeline


def note_forked(timeline: Timeline, now: float) -> Timeline:
    """Return the timeline of a process that has just been forked."""
    return replace(timeline, marks=((FORK, now - timeline.started),))


def note_healthy(timeline: Timeline, now: float) -> Timeline:
    """Return the timeline after the first healthy answer."""
    if timeline.reached(HEALTHY):
        return timeline
    return replace(timeline, marks=(*timeline.marks, (HEALTHY, now - timeline.started)))


def phase_lengths(timeline: Timeline) -> tuple[tuple[str, float], ...]:
    """Return what each phase took, in seconds."""
    lengths = []
    before = 0.0
    for name, at in timeline.marks:
        if name == FIRST_LINE:
            continue  # a moment within the import
        lengths.append((name, at - before))
        before = at
    return tuple(lengths)


def render_timeline(timeline: Timeline) -> str:
    """Render the phases on one line; empty where the log has told none of them."""
    lengths = phase_lengths(timeline)
    if len(lengths) < 2:  # noqa: PLR2004  (only that it is healthy, which is said already)
        return ""
    return ", ".join(f"{name} {length:.1f} s" for name, length in lengths)
