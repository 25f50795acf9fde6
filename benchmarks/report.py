"""What was measured, as a table for people and as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Measurement:
    """A median, with the name of the contender whose median it is divided by ('': none)."""

    title: str
    name: str
    unit: str
    value: float
    base: str


def render_table(measurements: list[Measurement]) -> str:
    """Render the measurements as a Markdown table, ratios last."""
    rows = [
        (
            each.title,
            each.name,
            f"{each.value:,.1f} {each.unit}".strip(),
            _ratio(each, measurements),
        )
        for each in measurements
    ]
    header = ("what", "who", "median", "ratio")
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(4)]
    lines = [header, tuple("-" * width for width in widths), *rows]
    return "\n".join(
        f"| {a:<{widths[0]}} | {b:<{widths[1]}} | {c:>{widths[2]}} | {d:>{widths[3]}} |"
        for a, b, c, d in lines
    )


def write_json(folder: Path, measurements: list[Measurement], runs: int) -> Path:
    """Write the measurements, with what the machine is, and return the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
    rows = [{**asdict(each), "ratio": _quotient(each, measurements)} for each in measurements]
    result = {"machine": machine(), "runs": runs, "measurements": rows}
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return path


def machine() -> dict[str, str | int]:
    """Describe this machine."""
    return {
        "cores": os.cpu_count() or 0,
        "load": f"{os.getloadavg()[0]:.2f}",
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def _quotient(each: Measurement, measurements: list[Measurement]) -> float | None:
    for other in measurements:
        if other.title == each.title and other.name == each.base:
            return round(each.value / other.value, 3)
    return None


def _ratio(each: Measurement, measurements: list[Measurement]) -> str:
    quotient = _quotient(each, measurements)
    return "" if quotient is None else f"{quotient:.2f}"
