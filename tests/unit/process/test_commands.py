"""What becomes of a member that is told to start, stop or change."""

from __future__ import annotations

from launcher.process.ending import KILL_WAIT_S
from launcher.process.events import (
    Begun,
    Ended,
    Healthy,
    Reloaded,
    RestartOne,
    Spawned,
    SpawnFailed,
    StartOne,
    StopOne,
    TimePassed,
)
from launcher.process.spec import Exited, RestartPolicy
from tests.support.history import History, server

A_ENDED = Ended(name="a", status=Exited(code=0))


def ready(**changes: object) -> History:
    """Return a fleet of two ready servers."""
    history = History(server("a", **changes), server("b"))
    history.happen(Begun(), Spawned(name="a", pid=41), Spawned(name="b", pid=42))
    history.happen(Healthy(name="a"), Healthy(name="b"))
    return history


def hang(history: History) -> None:
    """Let the first server ignore SIGTERM and SIGKILL until it is given up."""
    for wait_s in (3.0, KILL_WAIT_S):
        history.happen(TimePassed(), at=history.now + wait_s)


def test_stop_is_kept_until_a_start() -> None:
    history = ready()
    assert history.happen(StopOne(name="a")) == ["terminate a"]
    assert history.happen(A_ENDED, TimePassed()) == []
    assert history.happen(StartOne(name="a")) == ["start a"]


def test_start_during_a_stop_comes_after_it() -> None:
    history = ready()
    history.happen(StopOne(name="a"), StartOne(name="a"))
    assert history.happen(A_ENDED) == ["start a"]


def test_stop_after_a_restart_wins() -> None:
    history = ready()
    history.happen(RestartOne(name="a"), StopOne(name="a"))
    assert history.happen(A_ENDED) == []


def test_start_of_what_runs_changes_nothing() -> None:
    history = ready()
    before = history.fleet
    assert history.happen(StartOne(name="a")) == []
    assert history.fleet == before


def test_removed_member_goes_also_when_it_was_stopped_meanwhile() -> None:
    history = ready()
    history.happen(Reloaded(specs=(server("b"),)), StopOne(name="a"), A_ENDED)
    assert [member.spec.name for member in history.fleet.members] == ["b"]


def test_member_that_is_removed_and_comes_back_is_started() -> None:
    history = ready()
    history.happen(Reloaded(specs=(server("b"),)))
    assert history.happen(Reloaded(specs=(server("a"), server("b")))) == []
    assert history.happen(A_ENDED) == ["start a"]


def test_member_changed_twice_gets_the_last_settings() -> None:
    history = ready()
    history.happen(Reloaded(specs=(server("a", gpus="1"), server("b"))))
    history.happen(Reloaded(specs=(server("a", gpus="2"), server("b"))))
    assert history.happen(A_ENDED) == ["start a"]
    assert history.fleet.member("a").spec.gpus == "2"


def test_changed_member_that_is_held_waits_for_its_start() -> None:
    history = ready()
    history.happen(StopOne(name="a"), A_ENDED)
    assert history.happen(Reloaded(specs=(server("a", gpus="1"), server("b")))) == []
    assert history.happen(StartOne(name="a")) == ["start a"]
    assert history.fleet.member("a").spec.gpus == "1"


def test_process_that_hangs_in_the_kernel_is_not_joined_by_a_second() -> None:
    history = ready()
    history.happen(RestartOne(name="a"))
    hang(history)
    assert history.happen(RestartOne(name="a"), StartOne(name="a")) == []
    assert history.happen(A_ENDED) == ["start a"]


def test_foreground_server_that_cannot_be_started_again_ends_everything() -> None:
    policy = RestartPolicy(mode="on-failure", max_restarts=1)
    history = ready(foreground=True, restart=policy)
    history.happen(A_ENDED)
    assert history.happen(TimePassed(), at=1.0) == ["start a"]
    assert history.happen(SpawnFailed(name="a", reason="no")) == ["terminate b"]
