"""`python -m benchmarks.coldstart.compile`: does it pay that one server compiles before the others?

Servers of one configuration that compile the demo model (torch.compile, by g++ on the CPU), with
nothing in vLLM's cache: all at once, and one before the others. Beside them one server with an
empty and with a filled cache. Needs a Python with vLLM, in VLLMD_TEST_VLLM_PYTHON, and g++.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.coldstart.life import Reading, read_life
from benchmarks.coldstart.ways import Stage, plain, vllmd
from benchmarks.report import Measurement, machine, render_table, write_json
from launcher.demo.writer import write_demo_model

RESULTS = Path(__file__).parent.with_name("results")
VARIABLE = "VLLMD_TEST_VLLM_PYTHON"
COMPILED = "torch_compile_cache"  # below VLLM_CACHE_ROOT


WAYS = {
    "plain python -m": plain,
    "vllmd run, cold, at once": lambda stage: vllmd(stage, "cold"),
    "vllmd run, cold, one first": lambda stage: vllmd(stage, "cold", compile_first=True),
    "vllmd run, fork, at once": lambda stage: vllmd(stage, "fork"),
    "vllmd run, fork, one first": lambda stage: vllmd(stage, "fork", compile_first=True),
}
PLAIN = next(iter(WAYS))
EMPTY, FILLED = "empty cache", "filled cache"


def main() -> int:
    """Measure what the command line asks for, print a table, and write the same as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coldstart.compile")
    parser.add_argument(
        "--counts", type=int, nargs="+", default=[2, 4], help="how many servers (%(default)s)"
    )
    parser.add_argument(
        "--modes", nargs="+", default=["plain", "cold", "fork"], help="which ways (%(default)s)"
    )
    parser.add_argument("--runs", type=int, default=3, help="medians of how many (%(default)s)")
    options = parser.parse_args()
    python = os.environ.get(VARIABLE, "")
    if not os.access(python, os.X_OK):
        parser.error(f"{VARIABLE} names no Python with vLLM")
    with tempfile.TemporaryDirectory(prefix="vllmd-compile-") as folder:
        ways = [name for name in WAYS if any(mode in name for mode in options.modes)]
        found = measure(Path(folder), python, options.counts, ways, options.runs)
    measurements = [
        each for key, readings in found.items() for each in summarize(*key, readings, ways[0])
    ]
    measurements.sort(key=lambda each: each.title)
    print(", ".join(f"{key}: {value}" for key, value in machine().items()), end="\n\n")
    print(render_table(measurements))
    print(f"\nwritten to {write_json(RESULTS, measurements, options.runs)}", file=sys.stderr)
    return 0


def measure(
    root: Path, python: str, counts: list[int], ways: list[str], runs: int
) -> dict[tuple[int, str], list[Reading]]:
    """Start servers in turns, so that noise hits all ways alike."""
    model = root / "model"
    model.mkdir()
    write_demo_model(str(model))
    found: dict[tuple[int, str], list[Reading]] = {}

    def live(count: int, name: str, way: str) -> None:
        stage = Stage(root, python, model, count, cache=str(root / "cache"))
        print(f"{count} x {name} ...", file=sys.stderr, flush=True)
        reading = read_life(WAYS[way](stage), stage, restarts=False)
        found.setdefault((count, name), []).append(reading)
        require_one_graph(root / "cache" / COMPILED)

    for _ in range(runs):
        for name in (EMPTY, FILLED) if PLAIN in ways else ():
            clear(root / "cache" / COMPILED, wanted=name == EMPTY)
            live(1, name, PLAIN)
        for count in counts:
            for name in ways:
                clear(root / "cache" / COMPILED)
                live(count, name, name)
    return found


def clear(folder: Path, *, wanted: bool = True) -> None:
    """Forget what has been compiled."""
    if wanted:
        shutil.rmtree(folder, ignore_errors=True)


def require_one_graph(folder: Path) -> None:
    """Make sure that the servers had one key in the cache between them.

    Raises:
        ValueError: nothing was compiled, or several graphs.
    """
    keys = [path.name for path in folder.glob("torch_aot_compile/*")]
    if len(keys) != 1:
        raise ValueError(f"one graph was to be compiled, and the cache has: {keys}")


def summarize(count: int, name: str, found: list[Reading], first: str) -> list[Measurement]:
    """Return the medians of one way with so many servers, to be compared with the first way."""
    rows = {
        "to the first healthy": [each.first_s for each in found],
        "to all healthy": [each.healthy_s for each in found],
        "CPU time to all healthy": [each.cpu_s for each in found],
    }
    base = EMPTY if count == 1 else first
    plural = "" if count == 1 else "s"
    return [
        Measurement(f"{count} server{plural}: {title}", name, "s", median(values), base)
        for title, values in rows.items()
        if count > 1 or "first" not in title
    ]


if __name__ == "__main__":
    raise SystemExit(main())
