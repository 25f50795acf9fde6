"""`python -m benchmarks soak`."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

from benchmarks.report import machine
from benchmarks.soak.report import render_outcome
from benchmarks.soak.session import soak

LONGEST_MINUTES = 24 * 60


def main(argv: list[str]) -> int:
    """Run one soak; 1 where anything was wrong. What it wrote is kept then."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak")
    parser.add_argument("--minutes", type=float, default=10.0, help="of chaos (%(default)g)")
    parser.add_argument("--instances", type=int, default=50, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    options = parser.parse_args(argv)
    if not 0 < options.minutes <= LONGEST_MINUTES or not 0 < options.instances <= 500:
        parser.error("minutes or instances out of bounds")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # by way of `finally`
    root = Path(tempfile.mkdtemp(prefix="vllmd-soak-"))
    print(f"seed {options.seed}, {options.minutes:g} minutes, in {root} ...", file=sys.stderr)
    outcome = soak(root, options.minutes, options.instances, options.seed)
    print(", ".join(f"{key}: {value}" for key, value in machine().items()))
    print(time.strftime("%Y-%m-%d"), f"seed: {options.seed}, instances: {options.instances}\n")
    print(render_outcome(outcome))
    if outcome.complaints:
        print(f"see {root}", file=sys.stderr)
        return 1
    shutil.rmtree(root)
    return 0
