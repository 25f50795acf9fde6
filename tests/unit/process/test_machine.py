"""Histories of a fleet: what happens, and what is then done."""

from __future__ import annotations

import signal

import pytest

from launcher.process.ending import AGAIN_S, KILL_WAIT_S, SWEEP_S
from launcher.process.events import (
    Begun,
    Ended,
    Gone,
    Healthy,
    MemoryOwed,
    MemoryReturned,
    Spawned,
    SpawnFailed,
    StopAsked,
    TimePassed,
)
from launcher.process.fleet import State
from launcher.process.spec import Exited, Killed, RestartPolicy
from tests.support.history import History, main_program, server

A, B = Spawned(name="a", pid=11), Spawned(name="b", pid=12)
MAIN = Spawned(name="main", pid=13)
A_HEALTHY, B_HEALTHY = Healthy(name="a"), Healthy(name="b")
OK, FAILED = Exited(code=0), Exited(code=7)
BY_KILL = Killed(signal=signal.SIGKILL)


def ended(name: str, status: Exited | Killed = OK, *, left: bool = False) -> Ended:
    return Ended(name=name, status=status, left=left)


def begun(*names: str) -> History:
    """Return a history in which these servers have become healthy."""
    history = History(*(server(name) for name in names))
    history.happen(Begun(), *(Spawned(name=n, pid=11 + i) for i, n in enumerate(names)))
    history.happen(*(Healthy(name=name) for name in names))
    return history


# Starting.


def test_fleet_begun_starts_all_at_once() -> None:
    assert History(server("a"), server("b")).happen(Begun()) == ["start a", "start b"]


def test_empty_fleet_begun_finishes() -> None:
    assert History().happen(Begun()) == ["finish 0"]


def test_member_after_another_starts_when_that_is_healthy() -> None:
    history = History(server("a"), server("b", after=("a",)))
    assert history.happen(Begun(), A) == ["start a"]
    assert history.happen(A_HEALTHY) == ["start b"]


def test_member_after_another_starts_when_that_has_ended() -> None:
    history = History(server("a"), server("b", after=("a",)))
    history.happen(Begun(), A)
    assert history.happen(ended("a", FAILED, left=True)) == []
    assert history.happen(Gone(name="a")) == ["start b"]


def test_member_after_two_waits_for_both() -> None:
    history = History(server("a"), server("b"), server("c", after=("a", "b")))
    assert history.happen(Begun(), A, B, A_HEALTHY) == ["start a", "start b"]
    assert history.happen(B_HEALTHY) == ["start c"]


def test_member_without_probe_is_ready_when_it_runs() -> None:
    history = History(server("a", probe=None))
    history.happen(Begun(), A)
    assert history.fleet.member("a").state is State.READY
    assert history.fleet.deadline() is None


def test_spawn_that_fails_stops_the_others_with_71() -> None:
    history = History(server("a"), server("b"))
    history.happen(Begun(), A)
    assert history.happen(SpawnFailed(name="b", reason="no")) == ["terminate a"]
    assert history.happen(ended("a")) == ["finish 71"]


def test_spawn_that_fails_while_stopping_does_not_change_the_code() -> None:
    history = History(server("a", foreground=True), server("b"))
    history.happen(Begun(), A, ended("a", FAILED))
    assert history.happen(SpawnFailed(name="b", reason="no")) == ["finish 7"]


def test_second_spawn_that_fails_keeps_71() -> None:
    history = History(server("a"), server("b"))
    history.happen(Begun(), SpawnFailed(name="a", reason="no"))
    assert history.happen(SpawnFailed(name="b", reason="no")) == ["finish 71"]


# The main program.


def test_main_program_starts_when_every_instance_has_been_started() -> None:
    history = History(server("a"), server("b"), main_program())
    assert history.happen(Begun(), A) == ["start a", "start b"]
    assert history.happen(B) == ["start main"]


def test_main_program_told_to_wait_starts_when_all_are_healthy() -> None:
    history = History(server("a"), server("b"), main_program(), wait_ready=True)
    assert history.happen(Begun(), A, B, A_HEALTHY) == ["start a", "start b"]
    assert history.happen(B_HEALTHY) == ["start main"]


def test_main_program_alone_starts_at_once() -> None:
    assert History(main_program()).happen(Begun()) == ["start main"]


def test_main_program_told_to_wait_never_starts_after_a_failure() -> None:
    history = History(server("a"), server("b"), main_program(), wait_ready=True)
    history.happen(Begun(), A, B, A_HEALTHY)
    assert history.happen(ended("b", FAILED)) == ["terminate a"]
    assert history.happen(ended("a")) == ["finish 7"]


def test_failure_that_keeps_the_main_program_out_starts_nobody_else() -> None:
    servers = server("a"), server("b", after=("a",))
    history = History(*servers, main_program(), wait_ready=True)
    history.happen(Begun(), A)
    assert history.happen(ended("a", FAILED)) == ["finish 7"]


def test_end_of_main_program_ends_all_with_its_code() -> None:
    history = History(server("a"), main_program())
    history.happen(Begun(), A, MAIN)
    assert history.happen(ended("main", FAILED)) == ["terminate a"]
    assert history.happen(ended("a")) == ["finish 7"]


def test_stop_asks_the_main_program_first_then_in_reverse() -> None:
    history = History(server("a"), server("b"), main_program())
    history.happen(Begun(), A, B, MAIN)
    assert history.happen(StopAsked()) == ["terminate main", "terminate b", "terminate a"]


def test_code_of_foreground_that_failed_outweighs_the_main_programs() -> None:
    history = History(server("a", foreground=True), main_program())
    history.happen(Begun(), A, MAIN)
    assert history.happen(ended("a", FAILED)) == ["terminate main"]
    assert history.happen(ended("main", Killed(signal=15))) == ["finish 7"]


def test_stop_that_was_asked_tells_the_main_programs_code() -> None:
    history = History(server("a"), main_program())
    history.happen(Begun(), A, MAIN, StopAsked())
    assert history.happen(ended("main", Exited(code=4)), ended("a")) == ["finish 4"]


# Ends.


def test_end_of_background_leaves_the_others() -> None:
    history = begun("a", "b")
    assert history.happen(ended("a", FAILED)) == []
    assert history.fleet.member("b").state is State.READY


def test_end_of_all_in_background_finishes_with_the_first_failure() -> None:
    history = begun("a", "b")
    history.happen(ended("a", OK))
    assert history.happen(ended("b", FAILED)) == ["finish 1"]  # by order in the file: a, code 0


def test_end_of_foreground_stops_the_others_with_its_code() -> None:
    history = History(server("a", foreground=True), server("b"))
    history.happen(Begun(), A, B)
    assert history.happen(ended("a", BY_KILL)) == ["terminate b"]
    assert history.happen(ended("b")) == ["finish 137"]


def test_end_nobody_asked_for_is_told_with_the_reason() -> None:
    history = begun("a")
    history.happen(ended("a", FAILED), at=60)
    text = "ended without being asked (exit code 7) after 60.0 s"
    assert history.said[-1] == f"say a: {text}"
    assert history.fleet.member("a").failure == text


def test_late_healthy_of_a_stopping_member_changes_nothing() -> None:
    history = History(server("a"))
    history.happen(Begun(), A, StopAsked())
    assert history.happen(A_HEALTHY) == []
    assert history.fleet.member("a").state is State.STOPPING


# Start-up timeout.


def test_member_that_is_late_is_stopped_and_has_failed() -> None:
    history = History(server("a"))
    history.happen(Begun(), A)
    assert history.happen(TimePassed(), at=9.9) == []
    assert history.happen(TimePassed(), at=10) == ["terminate a"]
    assert history.happen(ended("a")) == ["finish 1"]
    assert history.fleet.member("a").failure == "not healthy within 10 s"


def test_late_foreground_that_heeds_term_ends_all_with_1() -> None:
    history = History(server("a", foreground=True), server("b", probe=None))
    history.happen(Begun(), A, B)
    history.happen(TimePassed(), at=10)
    assert history.happen(ended("a")) == ["terminate b"]
    assert history.happen(ended("b")) == ["finish 1"]


def test_late_member_that_ignores_term_is_killed() -> None:
    history = History(server("a"))
    history.happen(Begun(), A)
    history.happen(TimePassed(), at=10)
    assert history.happen(TimePassed(), at=13) == ["kill a"]
    assert history.happen(ended("a", BY_KILL)) == ["finish 1"]


# The ladder of a stop.


def test_stop_with_obedient_members_finishes_with_0() -> None:
    history = begun("a", "b")
    assert history.happen(StopAsked()) == ["terminate b", "terminate a"]
    assert history.happen(ended("a"), ended("b", Killed(signal=15))) == ["finish 0"]


def test_stop_kills_whoever_is_there_after_its_grace() -> None:
    history = begun("a", "b")
    history.happen(StopAsked(), ended("a"))
    assert history.fleet.deadline() == 3
    assert history.happen(TimePassed(), at=3) == ["kill b"]
    assert history.happen(ended("b", BY_KILL)) == ["finish 137"]


def test_stop_asks_those_again_and_again_that_were_starting() -> None:
    history = History(server("a", stop_timeout_s=12), server("b", stop_timeout_s=12))
    history.happen(Begun(), A, B, Healthy(name="a"), StopAsked())
    assert history.fleet.deadline() == AGAIN_S
    assert history.happen(TimePassed(), at=AGAIN_S) == ["terminate b"]
    assert history.happen(TimePassed(), at=2 * AGAIN_S) == ["terminate b"]
    assert history.fleet.deadline() == 12
    assert history.happen(TimePassed(), at=12) == ["kill a", "kill b"]


def test_late_member_is_asked_to_stop_again() -> None:
    history = History(server("a", stop_timeout_s=30))
    history.happen(Begun(), A)
    assert history.happen(TimePassed(), at=10) == ["terminate a"]
    assert history.happen(TimePassed(), at=10 + AGAIN_S) == ["terminate a"]
    assert history.happen(TimePassed(), at=40) == ["kill a"]


def test_stop_gives_up_a_process_that_hangs_in_the_kernel() -> None:
    history = begun("a")
    history.happen(StopAsked())
    history.happen(TimePassed(), at=3)
    assert history.happen(TimePassed(), at=3 + KILL_WAIT_S) == ["finish 137"]
    text = "pid 11 does not die: it hangs in the kernel, and may hold its GPU"
    assert history.said[-1] == f"say a: {text}"


def test_process_given_up_that_dies_later_stays_ended() -> None:
    history = History(server("a"), server("b", probe=None))
    history.happen(Begun(), A, B)
    for moment in (10, 13, 13 + KILL_WAIT_S):
        history.happen(TimePassed(), at=moment)
    said = list(history.said)
    assert history.happen(ended("a", BY_KILL)) == []
    assert history.fleet.member("a").state is State.ENDED
    assert history.said == said


def test_second_stop_kills_everybody_now() -> None:
    history = begun("a", "b")
    history.happen(StopAsked())
    assert history.happen(StopAsked(), at=1) == ["kill a", "kill b"]
    assert history.happen(StopAsked(), at=2) == []
    assert history.happen(ended("a", BY_KILL), ended("b", BY_KILL)) == ["finish 137"]


def test_second_stop_spares_those_that_have_ended() -> None:
    history = begun("a", "b")
    history.happen(StopAsked(), ended("a"))
    assert history.happen(StopAsked(), at=1) == ["kill b"]


def test_second_stop_within_a_moment_is_the_first_once_more() -> None:
    history = begun("a")
    history.happen(StopAsked(), at=5)
    assert history.happen(StopAsked(), at=5.2) == []
    assert history.happen(StopAsked(), at=5.4) == ["kill a"]


def test_stop_while_the_end_has_begun_by_itself_kills_now() -> None:
    history = History(server("a", foreground=True), server("b"))
    history.happen(Begun(), A, B, ended("a", FAILED))
    assert history.happen(StopAsked()) == ["kill b"]
    assert history.happen(ended("b", BY_KILL)) == ["finish 7"]


def test_death_during_grace_is_no_failure() -> None:
    history = begun("a")
    history.happen(StopAsked())
    assert history.happen(ended("a", Killed(signal=11))) == ["finish 0"]
    assert history.said[-1] == "say a: stopped (killed by SIGSEGV)"


def test_exit_and_deadline_in_one_tick_kill_nobody() -> None:
    history = begun("a")
    history.happen(StopAsked())
    assert history.happen(ended("a"), TimePassed(), at=3) == ["finish 0", "finish 0"]


def test_stop_before_the_spawn_is_reported_stops_the_spawned() -> None:
    history = History(server("a"))
    assert history.happen(Begun(), StopAsked()) == ["start a"]
    assert history.happen(A) == ["terminate a"]
    assert history.happen(ended("a")) == ["finish 0"]


def test_stop_before_the_spawn_fails_finishes() -> None:
    history = History(server("a"))
    history.happen(Begun(), StopAsked())
    assert history.happen(SpawnFailed(name="a", reason="no")) == ["finish 0"]


def test_stop_ends_those_that_wait_without_starting_them() -> None:
    history = History(server("a"), server("b", after=("a",)))
    history.happen(Begun(), A)
    assert history.happen(StopAsked()) == ["terminate a"]
    assert history.happen(ended("a")) == ["finish 0"]


def test_stop_before_anything_has_begun_finishes() -> None:
    assert History(server("a"), main_program()).happen(StopAsked()) == ["finish 0"]


def test_two_deadlines_in_one_tick_ask_each_member_once() -> None:
    front = server("a", foreground=True, stop_timeout_s=1.0)
    history = History(front, server("b", startup_timeout_s=11 + KILL_WAIT_S))
    history.happen(Begun(), A, B)
    for moment in (10.0, 11.0):
        history.happen(TimePassed(), at=moment)
    # The first is given up as hanging, which stops the second, which is late at the same time.
    assert history.happen(TimePassed(), at=11 + KILL_WAIT_S) == ["terminate b"]


# Leftovers.


def test_leftovers_may_end_by_themselves() -> None:
    history = begun("a")
    history.happen(StopAsked())
    assert history.happen(ended("a", left=True)) == []
    assert history.fleet.deadline() == SWEEP_S
    assert history.happen(Gone(name="a")) == ["finish 0"]


def test_leftovers_that_stay_are_killed_without_blame() -> None:
    history = begun("a")
    history.happen(StopAsked(), ended("a", left=True))
    assert history.happen(TimePassed(), at=SWEEP_S) == ["kill a"]
    assert history.happen(Gone(name="a")) == ["finish 0"]


def test_leftovers_of_foreground_hold_up_the_end_but_not_the_stop() -> None:
    history = History(server("a", foreground=True), server("b"))
    history.happen(Begun(), A, B)
    assert history.happen(ended("a", FAILED, left=True)) == ["terminate b"]
    assert history.happen(ended("b")) == []
    assert history.happen(Gone(name="a")) == ["finish 7"]


def test_second_stop_kills_leftovers_now() -> None:
    history = begun("a")
    history.happen(StopAsked(), ended("a", left=True))
    assert history.happen(StopAsked(), at=1) == ["kill a"]


@pytest.mark.parametrize("name", ["a", "b"])
def test_end_is_told_once(name: str) -> None:
    history = begun("a", "b")
    history.happen(ended(name, FAILED, left=True), Gone(name=name))
    assert len([line for line in history.said if "exit code 7" in line]) == 1


def test_restart_waits_until_the_memory_of_the_dead_is_returned() -> None:
    history = History(server("a", restart=RestartPolicy(mode="on-failure")))
    history.happen(Begun(), A, A_HEALTHY)
    assert history.happen(MemoryOwed(name="a"), ended("a", FAILED)) == []
    assert history.happen(TimePassed(), at=10) == []
    assert history.happen(MemoryReturned(name="a")) == ["start a"]


def test_stop_does_not_wait_for_memory() -> None:
    history = History(server("a", restart=RestartPolicy(mode="on-failure")))
    history.happen(Begun(), A, A_HEALTHY, MemoryOwed(name="a"), ended("a", FAILED))
    assert history.happen(StopAsked()) == ["finish 0"]
