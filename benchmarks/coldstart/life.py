"""One life of a few servers: from their start to health, a look at their memory, a crash."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import descendants, memory_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.coldstart.ways import Stage

PATIENCE_S = 900.0
STEP_S = 0.05
KV_CACHE_MB = 1024.0  # of each server's worker, set by VLLM_CPU_KVCACHE_SPACE
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Reading:
    """What one life has shown. Memory is proportional: shared pages count by their shares."""

    first_s: float  # until one server was healthy, and until all were
    healthy_s: float
    cpu_s: float
    memory_mb: float
    again_s: float = 0.0


def read_life(commands: list[list[str]], stage: Stage, *, restarts: bool) -> Reading:
    """Start servers, and stop them when all has been read."""
    before = time.monotonic()
    with _running(commands, stage) as processes:
        times = wait_healthy(stage.ports)
        pids = _all(processes)
        cpu_s = sum(map(cpu_seconds, pids))
        memory_mb = sum(memory_of(pid).pss for pid in pids) / 1000
        memory_mb -= KV_CACHE_MB * stage.count
        again_s = _kill_and_wait(processes, stage) if restarts and stage.count == 1 else 0.0
    return Reading(times[0] - before, times[-1] - before, cpu_s, memory_mb, again_s)


def wait_healthy(ports: list[int]) -> list[float]:
    """Wait until every server answers; return when each did, the first one first.

    Raises:
        TimeoutError: one does not.
    """
    until = time.monotonic() + PATIENCE_S
    left, times = list(ports), list[float]()
    while left:
        if time.monotonic() > until:
            raise TimeoutError(f"not healthy: {left}")
        left = [port for port in left if not _is_healthy(port)]
        times += [time.monotonic()] * (len(ports) - len(left) - len(times))
        time.sleep(STEP_S)
    return times


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _kill_and_wait(processes: list[subprocess.Popen[bytes]], stage: Stage) -> float:
    server = _server_of(processes[0].pid, stage.ports[0])
    before = time.monotonic()
    os.kill(server, signal.SIGKILL)
    while os.path.exists(f"/proc/{server}"):
        time.sleep(STEP_S / 10)
    wait_healthy(stage.ports)
    return time.monotonic() - before


def _server_of(launcher: int, port: int) -> int:
    """Return the child of the launcher that serves a port, by its words."""
    for pid in descendants(launcher):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if str(port).encode() in words and b"--port" in words:
            return pid
    raise LookupError(f"nobody serves port {port}")


def cpu_seconds(pid: int) -> float:
    """Return what a process, and those of its children that have ended, have computed (proc(5))."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    fields = text.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


@contextlib.contextmanager
def _running(commands: list[list[str]], stage: Stage) -> Iterator[list[subprocess.Popen[bytes]]]:
    log = (stage.root / "output").open("wb")
    processes = [
        subprocess.Popen(
            words,
            env=stage.environ(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        for words in commands
    ]
    try:
        yield processes
    finally:
        left = _all(processes)
        for process in processes:
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            for process in processes:
                process.wait(60)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in processes:
            process.wait()
        log.close()


def _all(processes: list[subprocess.Popen[bytes]]) -> list[int]:
    return [pid for each in processes for pid in (each.pid, *descendants(each.pid))]
