"""What the checks of a host found. Values and their rendering only."""

from __future__ import annotations

import json

from launcher.config.printable import printable
from launcher.errors import EX_OK, EX_UNAVAILABLE
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OK, WARN, FAIL, SKIP = "ok", "warn", "fail", "skip"
STATUSES = (OK, WARN, FAIL, SKIP)
COLOURS = {OK: "32", WARN: "33;1", FAIL: "31;1", SKIP: "2"}
# What is printed at each level of VLLMD_HYPERVISOR_LOG_LEVEL.
SHOWN_AT = {"DEBUG": STATUSES, "INFO": STATUSES, "WARN": (WARN, FAIL), "ERROR": (FAIL,)}


@record
class Finding:
    """What one check found.

    `fail` is what keeps a guest from starting and `initialize` does not change; `warn` is what
    it changes, or what only some need. `mend` is a command to paste, in part with a comment;
    empty where nothing is wrong.
    """

    name: str
    status: str
    seen: str
    why: str = ""
    mend: str = ""


def code_of(findings: Sequence[Finding]) -> int:
    """Return the exit code: 69 if a check failed, else 0."""
    return EX_UNAVAILABLE if any(each.status == FAIL for each in findings) else EX_OK


def render_text(findings: Sequence[Finding], *, level: str = "INFO", colour: bool = False) -> str:
    """Render findings for a terminal; with DEBUG also why a check that passed matters."""
    shown = [each for each in findings if each.status in SHOWN_AT[level]]
    lines = []
    for each in shown:
        word = f"{each.status:<4}"
        painted = f"\x1b[{COLOURS[each.status]}m{word}\x1b[0m" if colour else word
        lines.append(f"{painted}  {printable(each.name)}: {printable(each.seen)}")
        if each.why and (each.status in {WARN, FAIL} or level == "DEBUG"):
            lines.append(f"      why:  {printable(each.why)}")
        if each.mend:
            lines.append(f"      mend: {printable(each.mend)}")
    lines.append(_render_counts(findings))
    return "\n".join(lines)


def render_json(findings: Sequence[Finding]) -> str:
    """Render findings for programs: always all of them."""
    rows = [
        {
            "name": each.name,
            "status": each.status,
            "seen": each.seen,
            "why": each.why or None,
            "mend": each.mend or None,
        }
        for each in findings
    ]
    counts = {status: _count(findings, status) for status in STATUSES}
    return json.dumps({"checks": rows, "counts": counts}, indent=2)


def _render_counts(findings: Sequence[Finding]) -> str:
    words = {OK: "ok", WARN: "to look at", FAIL: "failed", SKIP: "skipped"}
    counts = ((_count(findings, status), words[status]) for status in STATUSES)
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def _count(findings: Sequence[Finding], status: str) -> int:
    return sum(each.status == status for each in findings)
