"""Instances that share a GPU start one after another; the others start together."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from tests.support.launching import Launcher, Stub

if TYPE_CHECKING:
    from tests.support.launching import Run

SHARE = {"gpu_memory_utilization": 0.3}


def on_gpus(name: str, gpus: str, **server: object) -> Stub:
    """Return an instance that sees these GPUs and takes a moment to load."""
    return Stub(name=name, control={"gpu_ids": gpus}, server={**SHARE, "stub_slow": 0.3, **server})


def course(run: Run) -> list[str]:
    """Return who started, became healthy or ended, in order."""
    return re.findall(r" (\w+: (?:started|healthy|ended))", run.stderr())


def test_instances_on_one_gpu_start_one_after_another(launcher: Launcher) -> None:
    run = launcher.start(*(on_gpus(name, "0") for name in "abc"))
    run.wait_healthy("a", "b", "c")
    assert course(run) == [
        "a: started", "a: healthy", "b: started", "b: healthy", "c: started", "c: healthy",
    ]  # fmt: skip


def test_instances_on_different_gpus_start_together(launcher: Launcher) -> None:
    run = launcher.start(*(on_gpus(name, gpu) for name, gpu in zip("abc", "012", strict=True)))
    run.wait_healthy("a", "b", "c")
    assert course(run)[:3] == ["a: started", "b: started", "c: started"]


def test_instance_waits_for_those_on_each_of_its_gpus(launcher: Launcher) -> None:
    run = launcher.start(on_gpus("a", "0"), on_gpus("b", "1"), on_gpus("c", "0,1"))
    run.wait_healthy("c")
    assert course(run)[:2] == ["a: started", "b: started"]
    assert set(course(run)[2:4]) == {"a: healthy", "b: healthy"}
    assert course(run)[4:] == ["c: started", "c: healthy"]


def test_instance_starts_when_the_one_before_it_has_failed(launcher: Launcher) -> None:
    run = launcher.start(on_gpus("a", "0", stub_die=3), on_gpus("b", "0"))
    run.wait_healthy("b")
    assert course(run) == ["a: started", "a: ended", "b: started", "b: healthy"]
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
