"""Why a server failed, as its launcher tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.process.oomkills import read_oom_kills
from tests.support.launching import Launcher, Stub

if TYPE_CHECKING:
    from pathlib import Path

CAUSE = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB."
HINT = "lower gpu_memory_utilization or max_model_len, or stop what else uses the GPU"


def own_group() -> str:
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        found = [line.strip() for line in file if line.startswith("0::/")]
    return found[0].removeprefix("0::/") if found else ""


def test_failure_is_told_with_its_cause_and_a_hint(launcher: Launcher) -> None:
    lines = [CAUSE, *(f"  File {number}" for number in range(40)), "RuntimeError: Engine core ..."]
    run = launcher.start(Stub(server={"stub_say": lines, "stub_die": 1}))
    run.wait()
    said = run.said()
    place = said.index("vllmd: a: it was: the GPU has too little free memory")
    assert said[place + 1 : place + 3] == [f"    > {CAUSE}", f"vllmd: a: hint: {HINT}"]


def test_cause_that_is_shown_already_is_not_shown_twice(launcher: Launcher) -> None:
    run = launcher.start(Stub(server={"stub_say": CAUSE, "stub_die": 1}))
    run.wait()
    assert run.stderr().count(CAUSE) == 1
    assert f"hint: {HINT}" in run.stderr()


def test_failure_without_telling_words_is_not_guessed_at(launcher: Launcher) -> None:
    run = launcher.start(Stub(server={"stub_say": "hello", "stub_die": 1}))
    run.wait()
    assert "a: ended while starting (exit code 1)" in run.stderr()
    assert "it was" not in run.stderr()


def test_each_failure_is_explained_from_its_own_output(launcher: Launcher) -> None:
    control = {"restart": "on-failure", "max_restarts": 1}
    run = launcher.start(Stub(control=control, server={"stub_say": CAUSE, "stub_die": 1}))
    run.wait_for("failed for good")
    assert run.stderr().count("it was: the GPU") == 2  # once for each end


def test_server_that_never_becomes_healthy_is_told_so(launcher: Launcher) -> None:
    control = {"startup_timeout_s": 0.5}
    run = launcher.start(Stub(control=control, server={"stub_hang": True}))
    run.wait_for("a: it was: the process runs, but does not answer")


def test_kills_of_the_kernel_are_counted_in_the_own_group(tmp_path: Path) -> None:
    folder = tmp_path / own_group()
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "memory.events").write_text("low 0\noom 9\noom_kill 3\noom_group_kill 0\n")
    assert read_oom_kills(str(tmp_path)) == 3


def test_kills_of_the_kernel_without_a_group_are_those_of_the_machine(tmp_path: Path) -> None:
    assert read_oom_kills(str(tmp_path / "none")) >= 0


def test_status_shows_what_the_last_failure_was(launcher: Launcher) -> None:
    run = launcher.start(Stub(), Stub(name="b", server={"stub_say": CAUSE, "stub_die": 1}))
    run.wait_healthy("a")
    found = launcher.wait_state("failed", "b")["diagnosis"]
    assert found["kind"] == "gpu-memory"
    assert found["line"] == CAUSE
    assert f"hint: {HINT}" in launcher.ask("status").stdout
    assert launcher.status("a")["diagnosis"] is None


def test_status_shows_what_the_start_was_made_of(launcher: Launcher) -> None:
    line = "(Worker pid=3) INFO 11-21 [default_loader.py:501] Loading weights took 0.01 seconds"
    run = launcher.start(Stub(server={"stub_say": line}))
    run.wait_healthy("a")
    timeline = launcher.status("a")["timeline"]
    assert list(timeline) == ["first line", "weights", "healthy"]
    assert 0 < timeline["first line"] <= timeline["weights"] <= timeline["healthy"]
    run.wait_for("a: weights 0.")
