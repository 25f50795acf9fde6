from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from launcher.client.events import EventParser

STREAM = 'data: {"a": "ü\u2028"}\n\n: comment\ndata:{"b": 1}\r\n\r\ndata: [DONE]\n\ndata: late\n'
EVENTS = ['{"a": "ü\u2028"}', '{"b": 1}']


def feed(*pieces: bytes) -> tuple[list[str], bool]:
    parser = EventParser()
    found = [event for piece in pieces for event in parser.feed(piece)]
    return found, parser.done


def test_events_end_with_done() -> None:
    assert feed(STREAM.encode()) == (EVENTS, True)


@given(st.lists(st.integers(0, len(STREAM.encode()))))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    data = STREAM.encode()
    bounds = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(bounds)]
    assert feed(*pieces) == (EVENTS, True)


def test_stream_without_done_is_not_done() -> None:
    assert feed(b"data: 1\n\ndata: 2") == (["1"], False)
