"""`python -m benchmarks.coldstart.prefetch`: does reading the weights beside the import pay?

A random model of 1.4 GB, its pages dropped from the cache before each start; the ways to start a
server, each with and without a process of the lowest priority that reads the weights meanwhile.
Needs a Python with vLLM, in VLLMD_TEST_VLLM_PYTHON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.coldstart.life import read_life
from benchmarks.coldstart.ways import WAYS, Stage
from benchmarks.report import Measurement, machine, render_table
from launcher.demo.architecture import Architecture, plan_tensors, render_config
from launcher.demo.weights import render_safetensors
from launcher.demo.writer import write_demo_model

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "VLLMD_TEST_VLLM_PYTHON"
OURS = ("vllmd run, cold", "vllmd run, fork")
LARGE = Architecture(
    hidden=2048, intermediate=8192, layers=12, heads=32, kv_heads=8, max_positions=2048
)
# Idle in the queue of the disk (ioprio_set(2)) and last in that of the processor.
READER = """
import ctypes, os, sys
ctypes.CDLL(None).syscall(251, 1, 0, 3 << 13)
os.nice(19)
with open(sys.argv[1], "rb", buffering=0) as file:
    while file.read(1 << 22):
        pass
"""


def write_large_model(folder: Path) -> Path:
    """Write the demo model's files, with larger dimensions."""
    write_demo_model(str(folder))
    settings = json.loads((folder / "config.json").read_text())
    config = render_config(LARGE, settings["eos_token_id"])
    (folder / "config.json").write_text(json.dumps(config))
    weights = folder / "model.safetensors"
    weights.write_bytes(render_safetensors(plan_tensors(LARGE), 0))
    os.sync()  # what is not on the disk yet cannot be dropped from the cache
    return weights


def drop(path: Path) -> None:
    """Have the kernel forget a file's pages; those of vLLM itself stay."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def reading(path: Path, *, wanted: bool) -> Iterator[None]:
    """Read a file meanwhile, if that is wanted."""
    if not wanted:
        yield
        return
    reader = subprocess.Popen([sys.executable, "-c", READER, str(path)])
    try:
        yield
    finally:
        reader.kill()
        reader.wait()


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coldstart.prefetch")
    parser.add_argument("--runs", type=int, default=3, help="medians of how many (%(default)s)")
    options = parser.parse_args()
    python = os.environ.get(VARIABLE, "")
    if not os.access(python, os.X_OK):
        parser.error(f"{VARIABLE} names no Python with vLLM")
    found: dict[tuple[str, bool], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="vllmd-prefetch-", dir=os.getcwd()) as folder:
        model = Path(folder) / "model"
        model.mkdir()
        weights = write_large_model(model)
        for run in range(options.runs):
            for name in OURS:
                prepare = WAYS[name]
                for wanted in (False, True):  # in turns: noise hits both alike
                    stage = Stage(Path(folder), python, model, 1)
                    drop(weights)
                    print(f"run {run + 1}: {name}, {wanted=}", file=sys.stderr, flush=True)
                    with reading(weights, wanted=wanted):
                        life = read_life(prepare(stage), stage, restarts=False)
                    found.setdefault((name, wanted), []).append(life.healthy_s)
    rows = [
        Measurement(
            f"{name}: to healthy, weights not in the cache",
            "reads beside" if wanted else "as it is",
            "s",
            median(values),
            "as it is",
        )
        for (name, wanted), values in found.items()
    ]
    print(", ".join(f"{key}: {value}" for key, value in machine().items()), end="\n\n")
    print(render_table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
