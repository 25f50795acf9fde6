"""`python -m benchmarks`: measure, print a table, and write the same as JSON."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import guests
from benchmarks.container import healthcheck, one_file
from benchmarks.contenders import find_contenders
from benchmarks.measure import MEASUREMENTS as PROCESSES
from benchmarks.report import machine, render_table, write_json
from benchmarks.servers import make_stage
from benchmarks.soak import command

MEASUREMENTS = {**PROCESSES, "one-file": one_file, "healthcheck": healthcheck}
RESULTS = Path(__file__).with_name("results")
LEAST_RUNS = 5


def main() -> int:
    """Run the measurements that the command line names, a soak, or guests."""
    if sys.argv[1:2] == ["soak"]:
        return command.main(sys.argv[2:])
    if sys.argv[1:2] == ["guest"]:
        return guests.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "which", nargs="*", metavar="WHICH", help=f"which to run (all): {', '.join(MEASUREMENTS)}"
    )
    parser.add_argument(
        "--runs", type=int, default=LEAST_RUNS, help="medians of how many (%(default)s)"
    )
    options = parser.parse_args()
    unknown = [name for name in options.which if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"there is no measurement '{unknown[0]}'")
    if options.runs < LEAST_RUNS:
        parser.error(f"a median needs {LEAST_RUNS} runs at least")
    contenders = find_contenders()
    measurements = []
    for name in options.which or MEASUREMENTS:
        print(f"measuring {name} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="vllmd-bench-") as folder:
            stage = make_stage(Path(folder))
            measurements += MEASUREMENTS[name](stage, contenders, options.runs)
    print(", ".join(f"{key}: {value}" for key, value in machine().items()), end="\n\n")
    print(render_table(measurements))
    print(f"\nwritten to {write_json(RESULTS, measurements, options.runs)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
