"""What launchers say to each other, and what of it is refused."""

from __future__ import annotations

import pytest

from launcher.process.greeting import (
    WELCOME,
    Greeting,
    answer_greeting,
    parse_greeting,
    render_greeting,
)
from launcher.process.spec import Link

LEADER = Link(host="h", port=1, rank=0, nodes=3)
WORKER = Link(host="h", port=1, rank=2, nodes=3)


def test_greeting_rendered_and_parsed_is_the_same() -> None:
    greeting = parse_greeting(render_greeting("qwen2.5", WORKER))
    assert greeting == Greeting(name="qwen2.5", rank=2, nodes=3)
    assert answer_greeting(greeting, "qwen2.5", LEADER, taken=False) == WELCOME


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"GET / HTTP/1.1\r\n", b"vllmd-link 1 a 1\n", b"vllmd-link 1 a x 2\n",
             b"vllmd-link 2 a 1 2\n", b"vllmd-link 1 a -1 2\n", b"\xff\xfe\n"]
)  # fmt: skip
def test_noise_is_no_greeting(line: bytes) -> None:
    assert parse_greeting(line) is None
    assert answer_greeting(None, "a", LEADER, taken=False).startswith("no ")


@pytest.mark.parametrize(
    ("greeting", "taken", "answer"),
    [
        (Greeting(name="b", rank=1, nodes=3), False, "no this is the leader of 'a', not of 'b'"),
        (Greeting(name="a", rank=1, nodes=2), False, "no the leader has nodes = 3, the worker 2"),
        (Greeting(name="a", rank=0, nodes=3), False, "no there is no worker of rank 0"),
        (Greeting(name="a", rank=3, nodes=3), False, "no there is no worker of rank 3"),
        (
            Greeting(name="a", rank=1, nodes=3),
            True,
            "no rank 1 is there already, and its link is given up",
        ),
    ],
)
def test_wrong_worker_is_told_why(greeting: Greeting, taken: bool, answer: str) -> None:
    assert answer_greeting(greeting, "a", LEADER, taken=taken) == answer
