"""Was any line lost? Compares what the servers have written with what is in their logs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks.soak.stub import AT_ONCE, WIDTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

LINE = re.compile(rb"(s\d+\.\d+\.\d+) (\d{8}) x+\n")


@dataclass(frozen=True)
class Lines:
    """How many lines there were, in how many lives, and what is wrong with them."""

    count: int
    lives: int
    complaints: list[str]


def check_lines(logs: Path, tally: Path) -> Lines:
    """Compare every log, rotated ones too, with what each life of a server has counted.

    A life that was killed may have written a little more than it had the time to count; never
    less may be in the log, and its numbers have neither gap nor repetition.
    """
    found: dict[str, tuple[int, bool]] = {}
    for path in sorted(logs.iterdir(), key=_age):
        for match in LINE.finditer(path.read_bytes()):
            life, number = match[1].decode(), int(match[2])
            expected, in_order = found.get(life, (0, True))
            found[life] = (number + 1, in_order and number == expected)
    complaints = [f"{life}: a gap or a repetition" for life, (_, good) in found.items() if not good]
    for path in tally.iterdir():
        least = int.from_bytes(path.read_bytes(), "little") // WIDTH
        has = found.get(path.name, (0, True))[0]
        if not least <= has <= least + AT_ONCE:
            complaints.append(f"{path.name}: {least} lines written, {has} in the log")
    return Lines(sum(count for count, _ in found.values()), len(found), complaints)


def _age(path: Path) -> tuple[str, int]:
    """Sort the files of a log from the oldest to the one in use."""
    stem, _, number = path.name.rpartition(".log")
    return stem, -int(number[1:] or 0)
