"""`python -m benchmarks.coldstart.prefetch`: does reading the weights beside the import pay?

A random model of 1.4 GB, its pages dropped from the cache before each start, and with --vllm those
of vLLM's own environment as well, as after a boot; `vllmd run` cold and forked, each without and
with `prefetch`. Needs a Python with vLLM, in VLLMD_TEST_VLLM_PYTHON; with --vllm, one that no other
process uses: what is mapped stays in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.coldstart.life import read_life
from benchmarks.coldstart.ways import Stage, vllmd
from benchmarks.report import Measurement, machine, render_table
from launcher.demo.architecture import Architecture, plan_tensors, render_config
from launcher.demo.weights import render_safetensors
from launcher.demo.writer import write_demo_model

VARIABLE = "VLLMD_TEST_VLLM_PYTHON"
MODES = ("cold", "fork")
SETTINGS = ("off", "auto")
LARGE = Architecture(
    hidden=2048, intermediate=8192, layers=12, heads=32, kv_heads=8, max_positions=2048
)


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
    """Have the kernel forget the pages of a file, or of all files in a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    for each in files:
        if each.is_file():
            with each.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coldstart.prefetch")
    parser.add_argument("--runs", type=int, default=3, help="medians of how many (%(default)s)")
    parser.add_argument("--vllm", action="store_true", help="vLLM is not in the cache either")
    options = parser.parse_args()
    python = os.environ.get(VARIABLE, "")
    if not os.access(python, os.X_OK):
        parser.error(f"{VARIABLE} names no Python with vLLM")
    found: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="vllmd-prefetch-", dir=os.getcwd()) as folder:
        model = Path(folder) / "model"
        model.mkdir()
        weights = write_large_model(model)
        dropped = [weights, *([Path(python).parents[1]] if options.vllm else [])]
        for run in range(options.runs):
            for mode in MODES:
                for prefetch in SETTINGS[:: 1 if run % 2 else -1]:  # in turns: noise hits both
                    stage = Stage(Path(folder), python, model, 1)
                    for each in dropped:
                        drop(each)
                    life = read_life(vllmd(stage, mode, prefetch), stage, restarts=False)
                    found.setdefault((mode, prefetch), []).append(life.healthy_s)
                    text = f"run {run + 1}: {mode}, {prefetch=}: {life.healthy_s:.1f} s"
                    print(text, file=sys.stderr, flush=True)
    absent = "weights and vLLM" if options.vllm else "weights"
    rows = [
        Measurement(
            f"vllmd run, {mode}: to healthy, {absent} not in the cache",
            f'prefetch = "{prefetch}"',
            "s",
            median(values),
            f'prefetch = "{SETTINGS[0]}"',
        )
        for (mode, prefetch), values in sorted(found.items(), reverse=True)
    ]
    print(", ".join(f"{key}: {value}" for key, value in machine().items()), end="\n\n")
    print(render_table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
