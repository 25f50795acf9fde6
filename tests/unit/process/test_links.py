"""Members that are a part of a server on several machines: what a link means for them. Pure."""

from __future__ import annotations

from launcher.process.events import Begun, Ended, Healthy, Linked, Spawned, TimePassed, Unlinked
from launcher.process.fleet import State
from launcher.process.spec import Exited, Link, RestartPolicy
from tests.support.history import History, server

AGAIN = RestartPolicy(mode="on-failure", max_restarts=2)
LOST = Unlinked(name="a", reason="lost the machine of rank 1")


def part(rank: int) -> History:
    link = Link(host="h", port=1, rank=rank, nodes=2)
    if rank:
        return History(server(link=link, probe=None, restart=AGAIN))
    return History(server(link=link, restart=AGAIN))


def test_worker_starts_when_it_is_linked() -> None:
    history = part(1)
    assert history.happen(Begun()) == []
    assert history.happen(Linked(name="a")) == ["start a"]
    history.happen(Spawned(name="a", pid=11))
    assert history.fleet.member("a").state is State.READY


def test_worker_needs_a_link_for_each_start() -> None:
    history = part(1)
    history.happen(Begun(), Linked(name="a"), Spawned(name="a", pid=11))
    history.happen(Ended(name="a", status=Exited(code=1)))
    assert history.happen(TimePassed(), at=2.0) == []
    assert history.happen(Linked(name="a")) == ["start a"]


def test_link_that_is_lost_before_the_start_is_no_failure() -> None:
    history = part(1)
    history.happen(Linked(name="a"), Unlinked(name="a", reason="gone"))
    assert history.fleet.member("a").state is not State.STOPPING
    assert not history.fleet.member("a").linked


def test_leader_that_loses_a_worker_is_stopped_ready_or_not() -> None:
    for events in ((), (Healthy(name="a"),)):
        history = part(0)
        history.happen(Begun(), Spawned(name="a", pid=11), *events)
        assert history.happen(LOST) == ["terminate a"]
        history.happen(Ended(name="a", status=Exited(code=0)))
        assert history.happen(TimePassed(), at=2.0) == ["start a"]


def test_leader_that_loses_its_workers_too_often_fails_for_good() -> None:
    history = part(0)
    history.happen(Begun())
    for at in (0.0, 10.0, 20.0):
        history.happen(TimePassed(), Spawned(name="a", pid=11), Healthy(name="a"), at=at)
        history.happen(LOST, Ended(name="a", status=Exited(code=0)))
    assert history.fleet.member("a").state is State.ENDED
    assert "failed for good" in history.said[-1]


def test_link_lost_while_the_server_stops_changes_nothing() -> None:
    history = part(0)
    history.happen(Begun(), Spawned(name="a", pid=11), Healthy(name="a"), LOST)
    assert history.happen(LOST) == []
