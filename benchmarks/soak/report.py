"""A soak as Markdown tables."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.soak.session import Outcome


def render_outcome(outcome: Outcome) -> str:
    """Render what was injected and what was found."""
    injected = sorted(outcome.injected.items(), key=lambda item: -item[1])
    tables = (
        _table(("injected", "times"), [(name, f"{count:,}") for name, count in injected]),
        _table(("what", "found"), _findings(outcome)),
    )
    return "\n\n".join((*tables, *(f"- {each}" for each in outcome.complaints)))


def _findings(outcome: Outcome) -> list[tuple[str, str]]:
    watch, window = outcome.watch, f"{outcome.window_s:g} s"
    rss, pss = watch.medians(outcome.window_s, "rss"), watch.medians(outcome.window_s, "pss")
    return [
        ("injections", f"{outcome.injected.total():,} in {outcome.minutes:.2g} min"),
        ("servers started", f"{outcome.lives:,}"),
        ("most processes at once", f"{watch.most('processes'):,}"),
        ("log lines written and found", f"{outcome.lines:,}"),
        ("all ready again after the chaos", f"{outcome.recovered_s:.1f} s"),
        ("SIGTERM to the end of everything", f"{outcome.stopped_s:.1f} s"),
        ("descriptors of PID 1 before, after, at most", _descriptors(outcome)),
        (f"RSS of PID 1, first and last {window}", f"{rss[0]:,.0f} kB, {rss[1]:,.0f} kB"),
        (f"PSS of PID 1, first and last {window}", f"{pss[0]:,.0f} kB, {pss[1]:,.0f} kB"),
        ("RSS of PID 1 at each tenth of the time, MB", watch.tenths("rss")),
        ("processor time of PID 1", f"{watch.rate('cpu_s') * 100:.1f} % of one core"),
        ("wake-ups of PID 1", f"{watch.rate('wakeups'):,.0f} per second"),
        ("complaints", str(len(outcome.complaints))),
    ]


def _descriptors(outcome: Outcome) -> str:
    before, after = outcome.descriptors
    return f"{before}, {after}, {outcome.watch.most('descriptors')}"


def _table(header: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    wide = [max(len(row[column]) for row in (header, *rows)) for column in (0, 1)]
    lines = [header, ("-" * wide[0], "-" * wide[1]), *rows]
    return "\n".join(f"| {a:<{wide[0]}} | {b:>{wide[1]}} |" for a, b in lines)
