"""One soak: start, chaos for some minutes, calm, stop, and the verdict."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.contenders import vllmd_words
from benchmarks.servers import make_stage
from benchmarks.soak.chaos import Chaos
from benchmarks.soak.lines import check_lines
from benchmarks.soak.proc import MARK, descriptors_of, kill_marked, zombies_of
from benchmarks.soak.wanted import is_free, make_wanted
from benchmarks.soak.watch import EVERY_S, Watch, former_lives

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from benchmarks.servers import Stage
    from benchmarks.soak.wanted import Wanted

STUB = Path(__file__).with_name("stub.py")
PAUSE_S = 0.4  # between two injections, on average
START_S = 60.0
# A stopped server is asked every 2 s, may take 20 s for the answer, 2 s for its end, and waits for
# its restart: 1 s, 2 s, 4 s if it failed before. The rest is for a busy machine.
RECOVER_S = 60.0
STOP_S = 30.0
MORE_KB = 1500  # memory of PID 1 that is still called flat
PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass
class Outcome:
    """What a soak has found. Without `complaints` it was good."""

    seed: int
    minutes: float
    instances: int
    injected: Counter[str]
    watch: Watch
    complaints: list[str] = field(default_factory=list)
    recovered_s: float = 0.0
    stopped_s: float = 0.0
    descriptors: tuple[int, int] = (0, 0)
    lines: int = 0
    lives: int = 0
    window_s: float = 0.0


def soak(root: Path, minutes: float, instances: int, seed: int) -> Outcome:
    """Run a soak in an empty folder. Nothing is left running, whatever happens."""
    random = Random(seed)  # noqa: S311  (to be repeated, not to be secret)
    stage = make_stage(root)
    stage.set_program(f"exec '{sys.executable}' -I -S '{STUB}' \"$@\"")
    wanted = make_wanted(root, instances)
    wanted.write()
    mark = uuid.uuid4().hex
    with _launcher(stage, wanted, mark) as process:
        watch = Watch(process.pid, mark)
        chaos = Chaos(wanted, random, process.pid, mark, stage.environ)
        outcome = Outcome(seed, minutes, instances, chaos.done, watch)
        _prepare(chaos)
        before = _settled_descriptors(process.pid)
        _rage(chaos, watch, minutes * 60)
        outcome.recovered_s = _recover(chaos, outcome)
        outcome.descriptors = (before.total(), _settled_descriptors(process.pid, before).total())
        _judge_calm(chaos, outcome)
        outcome.stopped_s = _stop(process, outcome)
    outcome.complaints += chaos.complaints + [str(each) for each in watch.complaints]
    _judge_rest(wanted, mark, outcome)
    return outcome


@contextlib.contextmanager
def _launcher(stage: Stage, wanted: Wanted, mark: str) -> Iterator[subprocess.Popen[bytes]]:
    with (wanted.root / "messages").open("wb") as messages:
        process = subprocess.Popen(
            vllmd_words("run", str(wanted.path)),
            env={**stage.environ, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509  (there is one thread)
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
            kill_marked(mark)


def _end_with_parent() -> None:
    """Let the kernel tell the launcher to stop if we are killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _prepare(chaos: Chaos) -> None:
    """Wait until all is ready, and let PID 1 take the memory that it takes once.

    It imports what answers, reads settings and explains failures when that is needed, and keeps the
    last words of each server.
    """
    _wait_ready(chaos, START_S)
    chaos.ask("reload")
    chaos.signal_servers(signal.SIGUSR1, len(chaos.wanted.instances))  # a flood of each
    time.sleep(EVERY_S)
    chaos.signal_servers(signal.SIGKILL)
    time.sleep(EVERY_S)
    _wait_ready(chaos, START_S)


def _rage(chaos: Chaos, watch: Watch, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if watch.due <= time.monotonic():
            watch.look()
        time.sleep(chaos.random.uniform(0, 2 * PAUSE_S))
        chaos.strike()


def _recover(chaos: Chaos, outcome: Outcome) -> float:
    """Wait until every instance is ready again; return how long that took."""
    began = time.monotonic()
    chaos.calm()
    try:
        _wait_ready(chaos, RECOVER_S)
    except TimeoutError as error:
        outcome.complaints.append(str(error))
    return time.monotonic() - began


def _wait_ready(chaos: Chaos, within_s: float) -> None:
    until = time.monotonic() + within_s
    expected = {each.name for each in chaos.wanted.listed()}
    while True:
        states = chaos.states()
        states |= dict.fromkeys(chaos.stopped_servers(), "held by SIGSTOP")
        late = {name: states.get(name) for name in expected if states.get(name) != "ready"}
        extra = states.keys() - expected
        if not late and not extra:
            return
        if time.monotonic() > until:
            raise TimeoutError(f"not ready within {within_s:g} s: {late}; unwanted: {extra}")
        time.sleep(0.3)


def _settled_descriptors(pid: int, as_before: Counter[str] | None = None) -> Counter[str]:
    """Count the descriptors between two health requests: the fewest within three seconds."""
    counts = []
    until = time.monotonic() + 3
    while time.monotonic() < until:
        counts.append(descriptors_of(pid))
        if counts[-1] == as_before:
            break
        time.sleep(0.02)
    return min(counts, key=lambda count: count.total())


def _judge_calm(chaos: Chaos, outcome: Outcome) -> None:
    """See that nothing has grown while everything is ready and nothing happens."""
    pid = chaos.launcher
    outcome.complaints += [f"left over: {each}" for each in former_lives(chaos.mark, pid)]
    zombies = zombies_of(pid)
    time.sleep(EVERY_S)
    outcome.complaints += [f"zombie: {each}" for each in zombies & zombies_of(pid)]
    before, after = outcome.descriptors
    if after > before:
        outcome.complaints.append(f"descriptors: {before} before, {after} after")
    outcome.window_s = min(60.0, outcome.minutes * 60 / 5)
    early, late = outcome.watch.medians(outcome.window_s, "rss")
    if late - early > MORE_KB:
        outcome.complaints.append(f"memory of PID 1 has grown by {late - early:.0f} kB")


def _stop(process: subprocess.Popen[bytes], outcome: Outcome) -> float:
    began = time.monotonic()
    process.terminate()
    try:
        code = process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        outcome.complaints.append(f"SIGTERM: still there after {STOP_S:g} s")
        return STOP_S
    if code != 0:
        outcome.complaints.append(f"SIGTERM: exit code {code}")
    return time.monotonic() - began


def _judge_rest(wanted: Wanted, mark: str, outcome: Outcome) -> None:
    """See that nothing is left when the launcher has ended, and that no line is missing."""
    outcome.complaints += [f"left running: pid {pid}" for pid in kill_marked(mark)]
    for each in wanted.instances:
        if not is_free(each.port):
            outcome.complaints.append(f"port {each.port} of {each.name} is still taken")
    if os.path.lexists(wanted.socket):
        outcome.complaints.append("the control socket is still there")
    lines = check_lines(wanted.root / "logs", wanted.root / "tally")
    outcome.lines, outcome.lives = lines.count, lines.lives
    outcome.complaints += lines.complaints
