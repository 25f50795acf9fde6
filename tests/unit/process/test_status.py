"""A fleet in words and numbers."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.process.events import Begun, Ended, Healthy, Spawned, StopOne
from launcher.process.metrics import describe_targets, render_metrics
from launcher.process.notify import summarize
from launcher.process.spec import Exited, Probe, RestartPolicy
from launcher.process.status import (
    About,
    describe_changes,
    describe_fleet,
    describe_member,
    not_ready,
    state_of,
)
from tests.support.history import History, main_program, server

ABOUT = About(version="1.2", pid=7, started_at=0.0, config="/vllm.toml", memory_bytes=1024)
ON_FAILURE = RestartPolicy(mode="on-failure")


def running(name: str = "a", **changes: object) -> History:
    """Return a fleet of one server that is ready since 2 s after its start."""
    history = History(server(name, **changes))
    history.happen(Begun(), Spawned(name=name, pid=42), at=1.0)
    history.happen(Healthy(name=name), at=3.0)
    return history


def described(history: History) -> dict[str, Any]:
    """Return what is said of the server."""
    return describe_member(history.fleet.members[0], history.now)


def test_ready_instance_has_pid_uptime_and_start_duration() -> None:
    history = running(gpus="0,1")
    history.now = 11.0
    found = described(history)
    assert (found["state"], found["pid"], found["uptime_s"]) == ("ready", 42, 10.0)
    assert (found["start_s"], found["gpus"]) == (2.0, "0,1")
    assert found["address"] == "http://127.0.0.1:8000"


def test_failed_instance_has_its_reason_and_no_pid() -> None:
    history = running()
    history.happen(Ended(name="a", status=Exited(code=3)))
    found = described(history)
    assert (found["state"], found["pid"], found["uptime_s"]) == ("failed", None, None)
    assert found["failure"] == "ended without being asked (exit code 3) after 2.0 s"


def test_instance_in_backoff_says_when_it_starts() -> None:
    history = running(restart=ON_FAILURE)
    history.happen(Ended(name="a", status=Exited(code=0)))
    found = described(history)
    assert (found["state"], found["next_start_s"], found["restarts"]) == ("backoff", 1.0, 1)


def test_last_failure_is_told_when_it_runs_again() -> None:
    history = running(restart=ON_FAILURE)
    history.happen(Ended(name="a", status=Exited(code=9)))
    history.happen(Begun(), Spawned(name="a", pid=43), at=5.0)
    assert "exit code 9" in described(history)["failure"]


def test_stopped_instance_is_not_wanted_and_not_failed() -> None:
    history = running()
    history.happen(StopOne(name="a"))
    assert described(history)["state"] == "stopping"
    history.happen(Ended(name="a", status=Exited(code=0)))
    found = described(history)
    assert (found["state"], found["wanted"]) == ("stopped", False)
    assert not_ready(history.fleet) == []


def test_main_program_is_no_instance() -> None:
    history = History(server("a"), main_program())
    found: Any = describe_fleet(history.fleet, ABOUT, 1.0)
    assert [each["name"] for each in found["instances"]] == ["a"]
    assert found["launcher"]["ready"] is False


def test_notes_are_part_of_an_instance() -> None:
    history = running()
    notes: Any = {"a": {"diagnosis": {"kind": "oom", "what": "no memory", "advice": "less"}}}
    found: Any = describe_fleet(history.fleet, ABOUT, 1.0, notes)
    assert found["instances"][0]["diagnosis"]["kind"] == "oom"


def test_waiting_instance_is_waiting() -> None:
    history = History(server("a"), server("b", after=("a",)))
    history.happen(Begun())
    assert [state_of(each) for each in history.fleet.members] == ["starting", "waiting"]


def test_changes_name_what_differs() -> None:
    history = History(server("a"), server("b"), server("c"))
    specs = (server("a"), server("b", gpus="1"), server("d"))
    assert describe_changes(history.fleet, specs) == {
        "added": ["d"],
        "changed": ["b"],
        "removed": ["c"],
        "unchanged": ["a"],
    }


def test_metrics_have_a_sample_for_each_instance() -> None:
    lines = render_metrics(running().fleet, ABOUT, 10.0).splitlines()
    assert 'vllmd_instance_up{name="a"} 1' in lines
    assert 'vllmd_instance_state{name="a",state="ready"} 1' in lines
    assert 'vllmd_instance_state{name="a",state="failed"} 0' in lines
    assert 'vllmd_instance_start_seconds{name="a"} 2' in lines
    assert "vllmd_resident_memory_bytes 1024" in lines


@pytest.mark.parametrize(
    ("changes", "host", "target"),
    [
        ({}, "gpu1", "127.0.0.1:8000"),
        ({"everywhere": True}, "gpu1", "gpu1:8000"),
        ({"everywhere": True}, "", "127.0.0.1:8000"),
        ({"probe": Probe(host="::1", port=1)}, "", "[::1]:1"),
    ],
)
def test_target_is_where_a_scraper_reaches_it(
    changes: dict[str, object], host: str, target: str
) -> None:
    found: Any = describe_targets(History(server("a", **changes)).fleet, host)
    assert found[0]["targets"] == [target]
    assert found[0]["labels"]["vllmd_instance"] == "a"


def test_server_on_a_unix_socket_is_no_target() -> None:
    probe = Probe(host="", port=0, socket_path="/run/a.sock")
    assert describe_targets(History(server("a", probe=probe)).fleet, "") == []


def test_summary_names_who_is_not_ready() -> None:
    history = History(server("a"), server("b"))
    history.happen(Begun(), Spawned(name="a", pid=1), Spawned(name="b", pid=2), Healthy(name="a"))
    assert summarize(history.fleet) == "1 of 2 ready; b: starting"
