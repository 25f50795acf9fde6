"""How a guest is stopped, second by second."""

from __future__ import annotations

import pytest

from launcher.hypervisor.ladder import (
    next_pause,
    plan_early_force,
    plan_force,
    plan_ladder,
    split_due,
)


def steps(ladder: object) -> list[tuple[float, str]]:
    """Return a ladder as pairs."""
    return [(rung.at_s, rung.deed) for rung in ladder]  # type: ignore[attr-defined]


def test_ladder_of_20_s_fits_into_systemds_30() -> None:
    assert steps(plan_ladder(20)) == [
        (0, "button"), (10, "button"), (20, "quit"), (24, "terminate"), (28, "kill"),
        (31, "give up"),
    ]  # fmt: skip


def test_ladder_presses_at_least_once() -> None:
    assert steps(plan_ladder(0.5))[:2] == [(0, "button"), (0.5, "quit")]


def test_force_asks_nobody() -> None:
    assert [deed for _, deed in steps(plan_force(0))] == ["quit", "terminate", "kill", "give up"]


def test_guest_that_is_not_up_is_terminated() -> None:
    assert steps(plan_early_force())[0] == (0, "terminate")


@pytest.mark.parametrize(("elapsed_s", "count"), [(0, 1), (9.9, 1), (10, 2), (25, 4), (40, 6)])
def test_due_are_the_rungs_up_to_now(elapsed_s: float, count: int) -> None:
    due, left = split_due(plan_ladder(20), elapsed_s)
    assert len(due) == count
    assert due + left == plan_ladder(20)


def test_pause_is_until_the_next_rung() -> None:
    _, left = split_due(plan_ladder(20), 1)
    assert next_pause(left, 1) == 9
    assert next_pause((), 99) == 0
