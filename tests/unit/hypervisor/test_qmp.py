"""QMP: bytes to messages and back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.hypervisor.backend import Event, VmmRefusalError, VmmSilentError
from launcher.hypervisor.qemu.qmp import (
    LONGEST_LINE,
    Decoder,
    is_reply,
    read_event,
    read_state,
    read_version,
    render_command,
    take_reply,
)

STREAM = b'{"QMP": {}}\r\n{"return": {}}\r\n{"event": "RESET"}\r\n'
GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": ""}}}


@given(st.lists(st.integers(0, len(STREAM)), max_size=5))
def test_messages_are_whole_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    decoder = Decoder()
    found = [
        message for begin, end in pairwise(places) for message in decoder.feed(STREAM[begin:end])
    ]
    assert found == [{"QMP": {}}, {"return": {}}, {"event": "RESET"}]


@pytest.mark.parametrize("line", [b"hello\n", b"[]\n", b"\xff\n", b"x" * (LONGEST_LINE + 1)])
def test_stream_that_is_no_qmp_is_told(line: bytes) -> None:
    with pytest.raises(VmmSilentError, match="QEMU's monitor"):
        Decoder().feed(line)


def test_command_is_a_line() -> None:
    assert render_command("quit") == b'{"execute": "quit"}\n'
    assert render_command("x", {"a": 1}) == b'{"execute": "x", "arguments": {"a": 1}}\n'


def test_version_is_in_the_greeting() -> None:
    assert read_version(GREETING) == "7.2.22"
    with pytest.raises(VmmSilentError):
        read_version({"QMP": []})


def test_reply_is_taken_or_raised() -> None:
    assert take_reply({"return": {"status": "running"}}) == {"status": "running"}
    with pytest.raises(VmmRefusalError, match="QEMU: not now"):
        take_reply({"error": {"class": "GenericError", "desc": "not now"}})
    assert not is_reply({"event": "STOP"})


@pytest.mark.parametrize(
    ("status", "state"),
    [("running", "running"), ("paused", "paused"), ("prelaunch", "created"),
     ("guest-panicked", "panicked"), ("io-error", "io-error")],
)  # fmt: skip
def test_state_has_our_word(status: str, state: str) -> None:
    assert read_state({"status": status}) == state


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ({"event": "RESET", "data": {"guest": True}}, Event(kind="reboot")),
        ({"event": "RESET", "data": {"guest": False}}, None),
        ({"event": "GUEST_PANICKED", "data": {}}, Event(kind="panic")),
        ({"event": "SHUTDOWN"}, Event(kind="powered off")),
        ({"event": "POWERDOWN"}, None),
        ({"return": {}}, None),
    ],
)
def test_event_means_something_or_nothing(message: dict[str, object], event: Event | None) -> None:
    assert read_event(message) == event
