"""`python -m benchmarks.coldstart`: measure, print a table, and write the same as JSON.

Needs a Python with vLLM, in VLLMD_TEST_VLLM_PYTHON.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.coldstart.life import Reading, read_life
from benchmarks.coldstart.ways import WAYS, Stage
from benchmarks.report import Measurement, machine, render_table, write_json
from launcher.demo.writer import write_demo_model

RESULTS = Path(__file__).parent.with_name("results")
VARIABLE = "VLLMD_TEST_VLLM_PYTHON"
BASE = "plain python -m"


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coldstart", description=__doc__)
    parser.add_argument(
        "--counts", type=int, nargs="+", default=[1, 2, 4], help="how many servers (%(default)s)"
    )
    parser.add_argument("--runs", type=int, default=3, help="medians of how many (%(default)s)")
    options = parser.parse_args()
    python = os.environ.get(VARIABLE, "")
    if not os.access(python, os.X_OK):
        parser.error(f"{VARIABLE} names no Python with vLLM")
    readings: dict[tuple[int, str], list[Reading]] = {}
    with tempfile.TemporaryDirectory(prefix="vllmd-coldstart-") as folder:
        model = Path(folder) / "model"
        model.mkdir()
        write_demo_model(str(model))
        for run in range(options.runs):
            for count in options.counts:
                for name, prepare in WAYS.items():  # in turns: noise hits all alike
                    stage = Stage(Path(folder), python, model, count)
                    print(f"run {run + 1}: {count} x {name} ...", file=sys.stderr, flush=True)
                    reading = read_life(prepare(stage), stage, restarts=name != BASE)
                    readings.setdefault((count, name), []).append(reading)
    measurements = [each for key, found in readings.items() for each in summarize(*key, found)]
    measurements.sort(key=lambda each: each.title)
    print(", ".join(f"{key}: {value}" for key, value in machine().items()), end="\n\n")
    print(render_table(measurements))
    print(f"\nwritten to {write_json(RESULTS, measurements, options.runs)}", file=sys.stderr)
    return 0


def summarize(count: int, name: str, found: list[Reading]) -> list[Measurement]:
    """Return the medians of one way with so many servers."""
    rows = [
        ("to all healthy", "s", [each.healthy_s for each in found], BASE),
        ("CPU time to all healthy", "s", [each.cpu_s for each in found], BASE),
        ("PSS of all, without the KV cache", "MB", [each.memory_mb for each in found], BASE),
    ]
    plural = "" if count == 1 else "s"
    shown = [
        Measurement(f"{count} server{plural}: {title}", name, unit, median(values), base)
        for title, unit, values, base in rows
    ]
    if count == 1:  # the base is a plain start, which is what a restart would be
        again = [each.again_s for each in found if each.again_s] or [median(rows[0][2])]
        shown.append(Measurement("SIGKILL to healthy again", name, "s", median(again), BASE))
    return shown


if __name__ == "__main__":
    raise SystemExit(main())
