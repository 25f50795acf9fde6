"""`python -m benchmarks.client`: a batch of chats, the same ones for all, on real vLLM on the CPU.

`vllmd batch` and `curl` under `xargs` ask one server; `vllm run-batch` loads an engine of its own,
so it is measured twice: from its start to its end, and, as its progress says, without the load.
Needs VLLMD_TEST_VLLM_PYTHON, an interpreter with vLLM.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

from benchmarks.report import Measurement, machine, render_table, write_json
from launcher.demo.writer import write_demo_model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

REQUESTS = 500
MAX_TOKENS = 16
AT_ONCE = 128
RUNS = 5
LOAD_S = 600
PYTHON = os.environ.get("VLLMD_TEST_VLLM_PYTHON", "")
ENVIRON = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
BATCH = "vllmd batch"
CURL = f"curl, xargs -P {AT_ONCE}"
OWN = "vllm run-batch"
OWN_LOADED = "vllm run-batch, without loading"
CONFIG = """\
[master]
python = "{python}"
[instance.demo.control]
gpu_ids = "none"
log_dir = "{folder}"
[instance.demo.server]
model = "{folder}/model"
served_model_name = "demo"
host = "127.0.0.1"
port = {port}
max_model_len = 256
enforce_eager = true
"""


def main() -> int:
    """Take turns, and print the medians."""
    if not PYTHON:
        print("VLLMD_TEST_VLLM_PYTHON names no Python with vLLM", file=sys.stderr)
        return 1
    took: dict[str, list[float]] = {BATCH: [], CURL: [], OWN: [], OWN_LOADED: []}
    with tempfile.TemporaryDirectory(prefix="vllmd-bench-") as name:
        folder = Path(name)
        port = write_files(folder)
        with server(folder, port):
            run_vllmd(folder)  # a first one for the caches
            for run in range(RUNS):
                print(f"run {run + 1} of {RUNS} ...", file=sys.stderr)
                took[BATCH].append(run_vllmd(folder))
                took[CURL].append(run_curl(folder, port))
                whole, rate = run_batch(folder)
                took[OWN].append(whole)
                took[OWN_LOADED].append(REQUESTS / rate)
    title = f"{REQUESTS} chats, {MAX_TOKENS} tokens each"
    rows = [Measurement(title, each, "s", median(times), BATCH) for each, times in took.items()]
    print(", ".join(f"{key}: {value}" for key, value in machine().items()), end="\n\n")
    print(render_table(rows))
    results = Path(__file__).with_name("results")
    print(f"\nwritten to {write_json(results, rows, RUNS)}", file=sys.stderr)
    return 0


def write_files(folder: Path) -> int:
    """Write the model, the requests in both forms, and the configuration; return its port."""
    write_demo_model(str(folder / "model"))
    (folder / "bodies").mkdir()
    with (folder / "requests.jsonl").open("w") as file:
        for number in range(REQUESTS):
            message = {"role": "user", "content": f"Count to {number}"}
            body = {"model": "demo", "max_tokens": MAX_TOKENS, "messages": [message]}
            line = {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions"}
            file.write(json.dumps({**line, "body": body}) + "\n")
            (folder / "bodies" / str(number)).write_text(json.dumps(body))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    text = CONFIG.format(python=PYTHON, folder=folder, port=port)
    (folder / "vllm.toml").write_text(text)
    return port


@contextlib.contextmanager
def server(folder: Path, port: int) -> Iterator[None]:
    """Run the server until the end of the block."""
    words = [sys.executable, "-m", "launcher", "run", str(folder / "vllm.toml")]
    with subprocess.Popen(words, env=ENVIRON, stderr=subprocess.DEVNULL) as process:
        try:
            wait_healthy(port)
            yield
        finally:
            process.terminate()


def wait_healthy(port: int) -> None:
    """Wait until the server answers.

    Raises:
        TimeoutError: it does not.
    """
    deadline = time.monotonic() + LOAD_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return
        time.sleep(0.1)
    raise TimeoutError(f"no server on port {port}")


def run_vllmd(folder: Path) -> float:
    """Return the seconds of `vllmd batch`."""
    results = folder / "results.jsonl"
    results.unlink(missing_ok=True)
    words = [sys.executable, "-m", "launcher", "batch", "--config", str(folder / "vllm.toml")]
    words += ["-i", str(folder / "requests.jsonl"), "-o", str(results)]
    took = timed([*words, "--concurrency", str(AT_ONCE)])
    require_all(results.read_text().count('"status_code":200'))
    return took


def run_curl(folder: Path, port: int) -> float:
    """Return the seconds of a loop of `curl`."""
    answers = folder / "answers"
    answers.mkdir(exist_ok=True)
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    curl = ["curl", "-s", "-H", "Content-Type: application/json", "-o", f"{answers}/{{}}"]
    curl += ["-d", f"@{folder}/bodies/{{}}", url]
    loop = f"seq 0 {REQUESTS - 1} | xargs -P {AT_ONCE} -I '{{}}' {shlex.join(curl)}"
    took = timed(["sh", "-c", loop])
    require_all(sum('"finish_reason"' in path.read_text() for path in answers.iterdir()))
    return took


def run_batch(folder: Path) -> tuple[float, float]:
    """Return the seconds of `vllm run-batch`, and the requests in a second that it tells."""
    words = [PYTHON, "-m", "vllm.entrypoints.launchers.run_batch"]
    words += ["-i", str(folder / "requests.jsonl"), "-o", str(folder / "own.jsonl")]
    words += ["--model", str(folder / "model"), "--served-model-name", "demo"]
    words += ["--max-model-len", "256", "--enforce-eager"]
    log = folder / "own.log"
    with log.open("w") as file:
        took = timed(words, file.fileno())
    require_all((folder / "own.jsonl").read_text().count('"status_code":200'))
    rates = re.findall(rf"{REQUESTS}/{REQUESTS} \[[^\]]*?([\d.]+) ?req/s", log.read_text())
    return took, float(rates[-1])


def timed(words: list[str], output: int = subprocess.DEVNULL) -> float:
    """Run a command to its end; return the seconds."""
    before = time.monotonic()
    subprocess.run(words, env=ENVIRON, stdout=output, stderr=output, check=True)
    return time.monotonic() - before


def require_all(count: int) -> None:
    """Make sure that all requests were answered.

    Raises:
        RuntimeError: they were not.
    """
    if count != REQUESTS:
        raise RuntimeError(f"{count} of {REQUESTS} requests were answered")


if __name__ == "__main__":
    raise SystemExit(main())
