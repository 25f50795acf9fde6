"""The table of `vllmd status`."""

from __future__ import annotations

from typing import Any

from launcher.cli.show_status import render_status

LAUNCHER = {"version": "1", "pid": 1, "uptime_s": 5, "config": None, "stopping": False}


def lines_of(**changes: Any) -> list[str]:
    instance = {
        "name": "a", "state": "starting", "wanted": True, "pid": 7, "uptime_s": 3, "restarts": 0,
        "gpus": "all", "address": "http://h:1", "next_start_s": None, "failure": None, "log": None,
    }  # fmt: skip
    status = {"launcher": LAUNCHER, "instances": [{**instance, **changes}]}
    return render_status(status, colour=False).splitlines()


def test_server_that_starts_shows_its_phases_so_far() -> None:
    marks = {"fork": 6.0, "first line": 6.1, "import": 6.25, "weights": 8.0}
    assert lines_of(timeline=marks)[-1] == "    so far: fork 6.0 s, import 0.2 s, weights 1.8 s"


def test_server_of_which_nothing_was_heard_shows_none() -> None:
    assert lines_of(timeline={"first line": 0.1})[-1].startswith("a ")
    assert lines_of(timeline=None)[-1].startswith("a ")


def test_server_that_is_ready_shows_none() -> None:
    assert lines_of(state="ready", timeline={"import": 1.0})[-1].startswith("a ")
