"""The measurements. Contenders take turns, so that noise of the machine hits all alike."""

from __future__ import annotations

import os
import select
import signal
import time
from statistics import median

from benchmarks.contenders import PYTHON, vllmd_words, write_toml
from benchmarks.processes import (
    PATIENCE_S,
    descendants,
    memory_of,
    running,
    seconds_to_end,
    wait_listening,
    wakeups_of,
)
from benchmarks.report import Measurement

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from benchmarks.contenders import Contender
    from benchmarks.servers import Server, Stage

    Contenders = tuple[Contender, ...]

IDLE_S = 10.0
SETTLE_S = 1.5  # until supervisors have noted that their servers are up
INSTANCES = 3
MANY = 100
LOOK_S = 0.0002  # between two looks at a process that has been killed
PLANNED = (1, 10, 100, 1000)
BASE = "python3 -c pass"
MISTAKES = """\
[master]
enabled = true
[instance.control]
background = "yes"
[instance.demo.control]
gpu_ids = "0,,1"
[instance.demo.server]
model = "some/model"
port = 70000
[instance.other.serve]
model = "some/model"
"""


def start(stage: Stage, contenders: Contenders, runs: int) -> list[Measurement]:
    """Exec of the launcher to exec of the first server."""
    fifo = stage.root / "started"
    os.mkfifo(fifo)
    stage.announce_start(fifo)
    descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    server = stage.servers(1)
    words = {each.name: each.prepare(stage, server) for each in contenders if each.stops_early}
    times = take_turns(
        {BASE: lambda: seconds_to_end(PYTHON, stage.environ)}
        | {
            name: lambda argv=argv: first_exec(argv, stage, descriptor)
            for name, argv in words.items()
        },
        runs,
    )
    os.close(descriptor)
    fifo.unlink()
    title = "exec to exec of the first server"
    return [Measurement(title, name, "ms", median(times[name]) * 1000, BASE) for name in times]


def first_exec(argv: tuple[str, ...], stage: Stage, descriptor: int) -> float:
    """Return the seconds until the launcher's first server has written into the descriptor."""
    before = time.monotonic()
    with running(argv, stage.environ):
        _wait_readable(descriptor, f"{argv[0]} started no server")
        took = time.monotonic() - before
        os.read(descriptor, 64)
    return took


def idle(stage: Stage, contenders: Contenders, runs: int) -> list[Measurement]:
    """Memory and wake-ups of the launcher's own process with idle servers."""
    stage.serve()
    found: dict[str, list[tuple[int, int, int]]] = {}
    for _ in range(runs):
        sleeper = (PYTHON[0], "-c", "import time; time.sleep(600)")
        found.setdefault("bare python3", []).append(_idle(sleeper, stage, ()))
        for each in contenders:
            servers = stage.servers(INSTANCES)
            found.setdefault(each.name, []).append(
                _idle(each.prepare(stage, servers), stage, servers)
            )
    columns = (
        (f"RSS of PID 1, {INSTANCES} servers", "kB"),
        (f"PSS of PID 1, {INSTANCES} servers", "kB"),
        (f"wake-ups in {IDLE_S:g} s", ""),
    )
    return [
        Measurement(
            title, name, unit, median(row[column] for row in rows), "bare python3" if unit else ""
        )
        for column, (title, unit) in enumerate(columns)
        for name, rows in found.items()
        if unit or name != "bare python3"
    ]


def _idle(argv: tuple[str, ...], stage: Stage, servers: tuple[Server, ...]) -> tuple[int, int, int]:
    with running(argv, stage.environ) as process:
        wait_listening(servers)
        time.sleep(SETTLE_S)
        before = wakeups_of(process.pid)
        time.sleep(IDLE_S if servers else 0)
        memory = memory_of(process.pid)
        return memory.rss, memory.pss, wakeups_of(process.pid) - before


def planning(stage: Stage, _contenders: Contenders, runs: int) -> list[Measurement]:
    """`vllmd plan` for more and more instances, and `vllmd check` of a file with mistakes."""
    words: dict[str, tuple[str, ...]] = {BASE: PYTHON}
    for count in PLANNED:
        path = write_toml(stage.root / f"{count}.toml", stage.servers(count))
        name = f"vllmd plan, {count} instance{'s' if count > 1 else ''}"
        words[name] = vllmd_words("plan", "--format", "json", str(path))
    mistakes = stage.root / "mistakes.toml"
    mistakes.write_text(MISTAKES, encoding="utf-8")
    words["vllmd check, 5 mistakes"] = vllmd_words("check", str(mistakes))
    times = take_turns(
        {
            name: lambda argv=argv: seconds_to_end(argv, stage.environ)  # type: ignore[misc]
            for name, argv in words.items()
        },
        runs,
    )
    return [Measurement("planning", name, "ms", median(times[name]) * 1000, BASE) for name in words]


def crash(stage: Stage, contenders: Contenders, runs: int) -> list[Measurement]:
    """SIGKILL of a server until it has been reaped, and until the launcher's message about it."""
    stage.serve()
    return _crash_reaped(stage, contenders, runs) + _crash_told(stage, contenders, runs)


def _crash_reaped(stage: Stage, contenders: Contenders, runs: int) -> list[Measurement]:
    times = take_turns(
        {each.name: lambda each=each: _reaped(each, stage) for each in contenders},  # type: ignore[misc]
        runs,
    )
    title = "SIGKILL of a server to its reaping"
    ours = contenders[0].name
    return [Measurement(title, name, "ms", median(times[name]) * 1000, ours) for name in times]


def _reaped(contender: Contender, stage: Stage) -> float:
    return _after_kill(contender, stage, lambda _, victim: _wait_reaped(contender, victim))


def _wait_reaped(contender: Contender, victim: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while os.path.exists(f"/proc/{victim}"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{contender.name} does not reap pid {victim}")
        time.sleep(LOOK_S)


def _crash_told(stage: Stage, contenders: Contenders, runs: int) -> list[Measurement]:
    telling = [each for each in contenders if each.told_of_crash]
    times = take_turns(
        {each.name: lambda each=each: _crash(each, stage) for each in telling},  # type: ignore[misc]
        runs,
    )
    title = "SIGKILL of a server to the message"
    ours = telling[0].name
    return [Measurement(title, name, "ms", median(times[name]) * 1000, ours) for name in times]


def _crash(contender: Contender, stage: Stage) -> float:
    told = contender.told_of_crash
    return _after_kill(contender, stage, lambda process, _: _read_until(process, told))


def _after_kill(
    contender: Contender, stage: Stage, wait: Callable[[subprocess.Popen[bytes], int], None]
) -> float:
    """Return how long after the SIGKILL of a server `wait` has seen what it waits for."""
    servers = stage.servers(2)
    with running(contender.prepare(stage, servers), stage.environ) as process:
        wait_listening(servers)
        time.sleep(SETTLE_S)
        victim = descendants(process.pid)[0]
        before = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        wait(process, victim)
        took = time.monotonic() - before
        time.sleep(SETTLE_S)  # some miss a SIGTERM while they start a successor
        return took


def stop(stage: Stage, contenders: Contenders, runs: int) -> list[Measurement]:
    """SIGTERM to the launcher of many servers to its end."""
    stage.serve()
    times = take_turns(
        {each.name: lambda each=each: _stop(each, stage) for each in contenders},  # type: ignore[misc]
        runs,
    )
    ours = contenders[0].name
    title = f"SIGTERM to the end of {MANY} servers"
    return [Measurement(title, name, "ms", median(times[name]) * 1000, ours) for name in times]


def _stop(contender: Contender, stage: Stage) -> float:
    servers = stage.servers(MANY)
    with running(contender.prepare(stage, servers), stage.environ) as process:
        wait_listening(servers)
        time.sleep(SETTLE_S)
        before = time.monotonic()
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
        return time.monotonic() - before


def take_turns(contests: dict[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Return the seconds of each contest, which all have run equally often."""
    times: dict[str, list[float]] = {name: [] for name in contests}
    for contest in contests.values():
        contest()  # a first one for the caches
    for _ in range(runs):
        for name, contest in contests.items():
            times[name].append(contest())
    return times


def _wait_readable(descriptor: int, complaint: str) -> None:
    if not select.select([descriptor], [], [], PATIENCE_S)[0]:
        raise TimeoutError(complaint)


def _read_until(process: subprocess.Popen[bytes], text: str) -> None:
    assert process.stdout is not None  # noqa: S101  (for the type checker)
    said = b""
    while text.encode() not in said:
        _wait_readable(process.stdout.fileno(), f"no '{text}' in the output")
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            raise TimeoutError(f"no '{text}' in the output: {said.decode()}")
        said += chunk


MEASUREMENTS = {"start": start, "idle": idle, "plan": planning, "crash": crash, "stop": stop}
