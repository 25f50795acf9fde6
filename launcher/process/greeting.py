"""What two launchers say to each other when a link begins; after that it is silent. Pure.

worker: vllmd-link 1 NAME RANK NODES
leader: welcome          or:  no REASON
"""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.spec import Link

PROTOCOL = "vllmd-link 1"
WELCOME = "welcome"
REFUSAL = "no "
LONGEST = 512  # bytes of a line


@record
class Greeting:
    """Who calls a leader."""

    name: str
    rank: int
    nodes: int


def render_greeting(name: str, link: Link) -> bytes:
    """Render what a worker says first."""
    return f"{PROTOCOL} {name} {link.rank} {link.nodes}\n".encode()


def parse_greeting(line: bytes) -> Greeting | None:
    """Read what somebody says who calls; None if it is none of us."""
    words = line.decode("utf-8", "replace").removesuffix("\n").split(" ")
    numbers = words[3:]
    known = " ".join(words[:2]) == PROTOCOL and len(numbers) == 2  # noqa: PLR2004
    if not known or not all(word.isascii() and word.isdigit() for word in numbers):
        return None
    return Greeting(name=words[2], rank=int(numbers[0]), nodes=int(numbers[1]))


def answer_greeting(greeting: Greeting | None, name: str, link: Link, *, taken: bool) -> str:
    """Return what the leader of `name` answers. `taken`: the rank has a link already."""
    if greeting is None:
        return f"{REFUSAL}this is no greeting of vllmd's"
    if greeting.name != name:
        return f"{REFUSAL}this is the leader of '{name}', not of '{greeting.name}'"
    if greeting.nodes != link.nodes:
        return f"{REFUSAL}the leader has nodes = {link.nodes}, the worker {greeting.nodes}"
    if not 0 < greeting.rank < link.nodes:
        return f"{REFUSAL}there is no worker of rank {greeting.rank}"
    if taken:
        return f"{REFUSAL}rank {greeting.rank} is there already, and its link is given up"
    return WELCOME
