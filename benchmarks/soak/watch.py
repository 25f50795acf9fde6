"""Looks at the launcher every two seconds, and notes what must never be."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from benchmarks.processes import memory_of, wakeups_of
from benchmarks.soak.proc import (
    cpu_seconds_of,
    descriptors_of,
    list_processes,
    servers_of,
    zombies_of,
)

EVERY_S = 2.0


@dataclass(frozen=True)
class Sample:
    """One look. Memory in kB, processor time in seconds."""

    at: float
    rss: int
    pss: int
    descriptors: int
    processes: int
    cpu_s: float
    wakeups: int


@dataclass
class Watch:
    """Everything that was seen. What is wrong in two looks in a row is a complaint."""

    launcher: int
    mark: str
    samples: list[Sample] = field(default_factory=list)
    complaints: Counter[str] = field(default_factory=Counter)
    _suspects: set[str] = field(default_factory=set)

    @property
    def due(self) -> float:
        """When to look next."""
        return self.samples[-1].at + EVERY_S if self.samples else 0.0

    def look(self) -> None:
        """Take a sample and see whether anything is wrong."""
        processes = list_processes(self.mark)
        memory = memory_of(self.launcher)
        self.samples.append(
            Sample(
                at=time.monotonic(),
                rss=memory.rss,
                pss=memory.pss,
                descriptors=descriptors_of(self.launcher).total(),
                processes=len(processes),
                cpu_s=cpu_seconds_of(self.launcher),
                wakeups=wakeups_of(self.launcher),
            )
        )
        suspects = self._find_suspects()
        for each in suspects & self._suspects:
            self.complaints[each] += 1
        self._suspects = suspects

    def _find_suspects(self) -> set[str]:
        processes = list_processes(self.mark)
        servers = servers_of(processes, self.launcher)
        found = {f"zombie {pid}" for pid in zombies_of(self.launcher)}
        for name, leaders in servers.items():
            if len(leaders) > 1:
                found.add(f"{name} has {len(leaders)} servers: {[each.pid for each in leaders]}")
        for each in processes:
            leaders = servers.get(each.instance, [])
            if leaders and each.start < leaders[0].start:
                found.add(f"{each.instance}: pid {each.pid} of a former life is still there")
        return found

    def medians(self, seconds: float, field_name: str) -> tuple[float, float]:
        """Return the medians of a column at the beginning and at the end."""
        first, last = self.samples[0].at, self.samples[-1].at
        early = [getattr(s, field_name) for s in self.samples if s.at <= first + seconds]
        late = [getattr(s, field_name) for s in self.samples if s.at >= last - seconds]
        return median(early), median(late)

    def tenths(self, field_name: str) -> str:
        """Return a column of kB at ten moments, as MB."""
        step = max(1, len(self.samples) // 10)
        values = [getattr(sample, field_name) for sample in self.samples[step - 1 :: step]]
        return " ".join(f"{value / 1000:.1f}" for value in values[:10])

    def most(self, field_name: str) -> int:
        """Return the highest value of a column."""
        most: int = max(getattr(sample, field_name) for sample in self.samples)
        return most

    def rate(self, field_name: str) -> float:
        """Return the growth of a column per second."""
        first, last = self.samples[0], self.samples[-1]
        grown: float = getattr(last, field_name) - getattr(first, field_name)
        return grown / max(last.at - first.at, 0.001)


def former_lives(mark: str, launcher: int) -> list[str]:
    """Return what no living server has started: to be empty once everything is calm."""
    processes = list_processes(mark)
    servers = servers_of(processes, launcher)
    return [
        f"{each.instance}: pid {each.pid}"
        for each in processes
        if each.instance not in servers or each.start < servers[each.instance][0].start
    ]
