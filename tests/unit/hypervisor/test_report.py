"""Reports of guests, whom nobody has to believe."""

from __future__ import annotations

import json

import pytest

from launcher.hypervisor.report import (
    LONGEST_LINE,
    GuestInstance,
    GuestReport,
    LineSplitter,
    describe_report,
    parse_report,
    summarize_report,
)

FULL = {
    "v": 1,
    "entrypoint": "running",
    "exit_code": None,
    "instances": [
        {"name": "a", "state": "ready", "host": "::", "port": 8000, "pid": 7, "restarts": 2}
    ],
    "message": "",
}
REPORT = GuestReport(
    entrypoint="running",
    instances=(GuestInstance(name="a", state="ready", host="::", port=8000, pid=7, restarts=2),),
)


def line(**changes: object) -> bytes:
    """Return a report's line."""
    return json.dumps({**FULL, **changes}).encode()


def test_report_is_read() -> None:
    assert parse_report(line()) == REPORT
    assert describe_report(REPORT) == FULL


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 60_000, line(v=2), line(entrypoint="fine"),
     line(entrypoint=["running"])],
)  # fmt: skip
def test_report_of_another_shape_is_dropped(text: bytes) -> None:
    assert parse_report(text) is None


def test_report_with_wrong_parts_keeps_the_right_ones() -> None:
    instances = [7, {"state": "x"}, {"name": "b", "state": 1, "port": -1, "pid": True}]
    found = parse_report(line(instances=instances, exit_code=999, message=[1]))
    expected = GuestReport(entrypoint="running", instances=(GuestInstance(name="b", state=""),))
    assert found == expected


def test_report_cannot_move_the_cursor() -> None:
    found = parse_report(line(message="\x1b[2J\n"))
    assert found is not None
    assert found.message == "\\x1b[2J\\n"


def test_report_is_cut() -> None:
    many = [{"name": "n" * 9999, "state": "s"}] * 999
    found = parse_report(line(instances=many))
    assert found is not None
    assert len(found.instances) == 256
    assert len(found.instances[0].name) == 400


def test_summary_counts_the_ready() -> None:
    assert summarize_report(REPORT) == "entrypoint running; 1 of 1 instances ready"
    ended = GuestReport(entrypoint="ended", exit_code=1, message="no config")
    assert summarize_report(ended) == "entrypoint ended with exit code 1; no config"


def test_lines_are_whole_wherever_the_stream_is_cut() -> None:
    text = b"one\ntwo\n\nthree\nrest"
    for at in range(len(text)):
        splitter = LineSplitter()
        found = splitter.feed(text[:at]) + splitter.feed(text[at:])
        assert found == [b"one", b"two", b"three"]


def test_line_that_is_too_long_is_dropped_and_not_kept() -> None:
    splitter = LineSplitter()
    for _ in range(100):
        assert splitter.feed(b"x" * LONGEST_LINE) == []
    assert splitter.feed(b"end of it\nnext\n") == [b"next"]
