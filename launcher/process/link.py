"""The link between the launchers of one server on several machines: they live and die together.

vLLM itself does not see it. In 0.32, with `--nnodes 2` or data parallel, a leader whose worker was
killed goes on answering 200 to `/health`, and a worker whose leader was killed lives on for good
(measured on a CPU: docs/cluster.md). So each worker's launcher keeps one TCP connection to the
leader's launcher, as long as both their servers run:

- a worker's server is started once the link is there, so that it never joins a former leader;
- a server that ends takes its links with it, and a link that breaks ends the server at its other
  end, which its own policy starts again;
- the leader takes links only while its server runs.

So whatever dies, every server of the group is started anew, once. Nothing is sent on a link after
the greeting; the kernel's keep-alive finds a machine that has gone without a word.
"""

from __future__ import annotations

import socket

from launcher.process.fleet import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from launcher.process.events import Linked, Unlinked

    News: TypeAlias = Linked | Unlinked | str | None  # text: something to say

GREETING_S = 5.0  # within which whoever calls has to say who it is, and be answered
NEVER = float("inf")
ALIVE = (State.STARTING, State.READY)
# A machine that went without a word is missed after 10 + 3 x 5 s.
KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


def prepare(end: socket.socket) -> None:
    """Let no call block, and the kernel find out whether the other end is still there."""
    end.settimeout(0)
    for option in KEEPALIVE:
        end.setsockopt(*option)


def reason_of(failure: OSError) -> str:
    """Say why a call failed."""
    return (failure.strerror or str(failure)).lower()
