"""A process that keeps what another one uses: it is asked to stop only when that has ended."""

from __future__ import annotations

import signal

from launcher.process.ending import KILL_WAIT_S, SWEEP_S
from launcher.process.events import (
    Begun,
    Ended,
    Gone,
    Healthy,
    MemoryOwed,
    MemoryReturned,
    Reloaded,
    RestartOne,
    Spawned,
    SpawnFailed,
    StartOne,
    StopAsked,
    StopOne,
    TimePassed,
)
from launcher.process.fleet import State
from launcher.process.spec import Exited, Killed, ProcessSpec, RestartPolicy, Warm
from launcher.record import replace
from tests.support.history import History, main_program, server

OK, FAILED = Exited(code=0), Exited(code=7)
AGAIN = RestartPolicy(mode="on-failure")


def ended(name: str, status: Exited | Killed = OK, *, left: bool = False) -> Ended:
    return Ended(name=name, status=status, left=left)


def pair(**changes: object) -> tuple[ProcessSpec, ProcessSpec]:
    """Return a keeper `k` and the server `a` that uses what it holds."""
    keeper = server("k", outlives="a", probe=None, restart=changes.get("restart", RestartPolicy()))
    return keeper, server("a", after=("k",), **changes)


def spawned(*names: str) -> list[Spawned]:
    return [Spawned(name=name, pid=ord(name[0])) for name in names]


def running(*more: ProcessSpec, **changes: object) -> History:
    """Return a pair, and others, that are ready."""
    history = History(*pair(**changes), *more)
    names = [member.spec.name for member in history.fleet.members]
    history.happen(Begun(), *spawned(*names), *(Healthy(name=name) for name in names))
    return history


def state(history: History, name: str) -> State:
    return history.fleet.member(name).state


# Everything stops.


def test_stop_asks_the_keeper_when_its_server_has_ended() -> None:
    history = running()
    assert history.happen(StopAsked()) == ["terminate a"]
    assert history.happen(ended("a")) == ["terminate k"]
    assert history.happen(ended("k")) == ["finish 0"]


def test_stop_asks_the_keeper_when_nothing_of_its_server_is_left() -> None:
    history = running()
    history.happen(StopAsked())
    assert history.happen(ended("a", left=True)) == []
    assert history.happen(Gone(name="a")) == ["terminate k"]


def test_stop_asks_the_keeper_at_once_where_its_server_was_never_started() -> None:
    keeper, user = pair()
    history = History(keeper, server("z"), replace(user, after=("k", "z")))
    history.happen(Begun(), *spawned("k", "z"))
    assert history.happen(StopAsked()) == ["terminate z", "terminate k"]


def test_stop_asks_the_keeper_when_the_start_of_its_server_was_called_off() -> None:
    history = History(*pair(warm=Warm()))
    assert history.happen(Begun(), *spawned("k")) == ["start k", "start a"]
    assert history.happen(StopAsked()) == ["call off a"]
    assert history.happen(*spawned("a")) == ["terminate a"]
    assert history.happen(ended("a")) == ["terminate k"]


def test_stop_asks_others_at_once_but_for_the_keeper() -> None:
    history = running(server("z"))
    assert history.happen(StopAsked()) == ["terminate z", "terminate a"]
    assert history.happen(ended("z")) == []
    assert history.happen(ended("a")) == ["terminate k"]


def test_grace_of_the_keeper_begins_when_it_is_asked() -> None:
    history = running()
    history.happen(StopAsked())
    assert history.happen(TimePassed(), at=3) == ["kill a"]
    assert history.happen(ended("a", Killed(signal=signal.SIGKILL)), at=4) == ["terminate k"]
    assert history.happen(TimePassed(), at=6.9) == []
    assert history.happen(TimePassed(), at=7) == ["kill k"]


def test_stop_of_a_pair_that_heeds_nothing_ends_within_the_rungs_of_both() -> None:
    history = running()
    history.happen(StopAsked())
    history.happen(TimePassed(), at=3)
    assert history.happen(TimePassed(), at=3 + KILL_WAIT_S) == ["terminate k"]
    history.happen(TimePassed(), at=6 + KILL_WAIT_S)
    assert history.happen(TimePassed(), at=6 + 2 * KILL_WAIT_S) == ["finish 137"]
    assert history.fleet.grace_s() == 6


def test_second_stop_kills_the_keeper_too() -> None:
    history = running()
    history.happen(StopAsked())
    assert history.happen(StopAsked(), at=1) == ["kill k", "kill a"]
    assert history.happen(ended("a"), ended("k")) == ["finish 137"]


def test_end_of_a_foreground_server_asks_its_keeper_last() -> None:
    history = running(server("z", foreground=True))
    assert history.happen(ended("z", FAILED)) == ["terminate a"]
    assert history.happen(ended("a")) == ["terminate k"]
    assert history.happen(ended("k")) == ["finish 7"]


def test_end_of_the_foreground_server_itself_asks_its_keeper() -> None:
    history = running(foreground=True)
    assert history.happen(ended("a", FAILED)) == ["terminate k"]
    assert history.happen(ended("k")) == ["finish 7"]


def test_end_of_the_main_program_asks_the_keeper_last() -> None:
    history = running(main_program())
    assert history.happen(ended("main", FAILED)) == ["terminate a"]
    assert history.happen(ended("a")) == ["terminate k"]


def test_server_that_could_not_be_started_lets_its_keeper_go() -> None:
    history = History(*pair())
    history.happen(Begun(), *spawned("k"))
    assert history.happen(SpawnFailed(name="a", reason="no")) == ["terminate k"]
    assert history.happen(ended("k")) == ["finish 71"]


def test_keeper_whose_server_has_failed_for_good_goes_when_nobody_else_is_left() -> None:
    history = running(server("z"))
    assert history.happen(ended("a", FAILED)) == []
    assert history.happen(ended("z")) == ["terminate k"]
    assert history.happen(ended("k")) == ["finish 7"]


def test_server_that_waits_for_a_keeper_that_has_failed_is_stopped() -> None:
    history = History(*pair(), server("z"))
    history.happen(Begun(), *spawned("k", "a", "z"))
    assert history.happen(ended("k", FAILED)) == ["terminate a"]
    assert history.said[-1] == "say a: 'k' has ended, and what it keeps is needed: stopping it"
    history.happen(ended("a"))
    assert history.fleet.member("a").failure == "'k' has ended, and what it keeps is needed"


def test_server_that_waits_for_a_keeper_that_starts_again_goes_on_waiting() -> None:
    history = History(*pair(restart=AGAIN))
    history.happen(Begun(), *spawned("k", "a"))
    assert history.happen(ended("k", FAILED)) == []


def test_server_that_is_ready_goes_on_when_its_keeper_has_failed() -> None:
    history = running()
    assert history.happen(ended("k", FAILED)) == []
    assert state(history, "a") is State.READY


def test_keeper_that_starts_again_during_a_stop_is_asked_in_its_turn() -> None:
    history = running(restart=AGAIN)
    history.happen(ended("k", FAILED))
    assert history.happen(TimePassed(), at=1.0) == ["start k"]
    history.happen(StopAsked())
    assert history.happen(*spawned("k")) == []
    assert history.happen(ended("a")) == ["terminate k"]


# One server stops, or is started again.


def test_stopped_server_leaves_its_keeper_for_the_next_start() -> None:
    history = running()
    assert history.happen(StopOne(name="a")) == ["terminate a"]
    assert history.happen(ended("a")) == []
    assert history.happen(StartOne(name="a")) == ["start a"]
    assert state(history, "k") is State.READY


def test_restarted_server_leaves_its_keeper() -> None:
    history = running()
    history.happen(RestartOne(name="a"))
    assert history.happen(ended("a")) == ["start a"]
    assert state(history, "k") is State.READY


def test_keeper_told_to_stop_waits_for_its_server() -> None:
    history = running()
    assert history.happen(StopOne(name="a"), StopOne(name="k")) == ["terminate a"]
    assert history.happen(ended("a", left=True)) == []
    assert history.happen(Gone(name="a")) == ["terminate k"]
    assert history.happen(ended("k")) == []


def test_keeper_told_to_stop_stays_when_its_server_is_started_meanwhile() -> None:
    history = running()
    history.happen(StopOne(name="a"), StopOne(name="k"), StartOne(name="a"))
    assert history.happen(ended("a")) == ["start a"]
    assert state(history, "k") is State.READY


def test_keeper_told_to_restart_does_so_between_two_lives_of_its_server() -> None:
    history = running()
    assert history.happen(RestartOne(name="k")) == []
    assert history.happen(RestartOne(name="a")) == ["terminate a"]
    assert history.happen(ended("a")) == ["terminate k"]
    assert history.happen(ended("k")) == ["start k"]
    assert history.happen(*spawned("k")) == ["start a"]


def test_start_of_a_server_starts_its_keeper_first() -> None:
    history = running()
    history.happen(StopOne(name="a"), ended("a"), StopOne(name="k"), ended("k"))
    assert history.happen(StartOne(name="a")) == ["start k"]
    assert history.happen(*spawned("k")) == ["start a"]


def test_restarted_server_waits_for_a_keeper_that_is_ending() -> None:
    history = running(restart=AGAIN)
    history.happen(ended("a", FAILED), StopOne(name="k"))
    assert history.happen(TimePassed(), at=1.0) == []
    assert history.happen(ended("k")) == ["start a"]


# New settings.


def test_removed_pair_goes_one_after_the_other() -> None:
    history = running(server("z"))
    assert history.happen(Reloaded(specs=(server("z"),))) == ["terminate a"]
    assert history.happen(ended("a")) == ["terminate k"]
    history.happen(ended("k"))
    assert [member.spec.name for member in history.fleet.members] == ["z"]


def test_pair_that_is_removed_and_comes_back_keeps_what_it_kept() -> None:
    history = running(server("z"))
    history.happen(Reloaded(specs=(server("z"),)))
    history.happen(Reloaded(specs=(*pair(), server("z"))))
    assert history.happen(ended("a")) == ["start a"]
    assert state(history, "k") is State.READY


def test_changed_pair_starts_again_in_order() -> None:
    history = running()
    keeper, user = pair()
    specs = (replace(keeper, gpus="1"), replace(user, gpus="1"))
    assert history.happen(Reloaded(specs=specs)) == ["terminate a"]
    assert history.happen(ended("a")) == ["terminate k"]
    assert history.happen(ended("k")) == ["start k"]
    assert history.happen(*spawned("k")) == ["start a"]


def test_server_that_loses_its_keeper_starts_when_that_has_gone() -> None:
    history = running()
    assert history.happen(Reloaded(specs=(server("a"),))) == ["terminate a"]
    assert history.happen(ended("a")) == ["terminate k"]
    assert history.happen(ended("k", left=True)) == []
    assert history.happen(TimePassed(), at=SWEEP_S) == ["kill k"]
    assert history.happen(Gone(name="k")) == ["start a"]


def test_server_that_gets_a_keeper_makes_room_for_it_first() -> None:
    history = History(server("a"))
    history.happen(Begun(), *spawned("a"), Healthy(name="a"))
    assert history.happen(Reloaded(specs=pair())) == ["terminate a"]
    assert history.happen(MemoryOwed(name="a"), ended("a")) == []
    assert history.happen(MemoryReturned(name="a")) == ["start k"]
    assert history.happen(*spawned("k")) == ["start a"]
