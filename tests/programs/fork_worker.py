"""A server with sockets of every kind and a worker that it forks; says who holds which of them.

And whether the server hears of a signal that is the worker's.

As a program: `python fork_worker.py FOLDER`.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import stat
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection


def main() -> None:
    """Open the sockets, fork a worker, and talk over one of them when it has closed its own."""
    http = socket.create_server(("127.0.0.1", 0))
    later = socket.socket(socket.AF_INET6)  # vLLM listens when the engine is there
    later.bind(("::1", 0))
    local = socket.socket(socket.AF_UNIX)
    local.bind(os.path.join(sys.argv[1], "http"))
    caller = socket.create_connection(http.getsockname())
    here, there = socket.socketpair()
    os.set_blocking(there.fileno(), False)
    signal.set_wakeup_fd(there.fileno())  # as an event loop does
    sockets = {
        "HTTP": http,
        "HTTP over IPv6": later,
        "HTTP over a UNIX socket": local,
        "a caller": caller,
        "a pair": here,
        "no address": socket.socket(),
    }
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=work, args=(sender, sockets))
    worker.start()
    worker.join()
    there.sendall(b"hello")
    print(
        json.dumps(
            {
                "server": held(sockets),
                "worker": receiver.recv(),
                "heard": here.recv(16).decode(),
            }
        )
    )


def work(sender: Connection, sockets: Mapping[str, socket.socket]) -> None:
    """Get a signal, say what is held, and close all of it, as an interpreter does that ends."""
    signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    sender.send(held(sockets))
    for each in sockets.values():
        each.close()


def held(sockets: Mapping[str, socket.socket]) -> list[str]:
    """Return the names of those that are sockets still."""
    names = []
    for name, each in sockets.items():
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(each.fileno()).st_mode):
                names.append(name)
    return names


if __name__ == "__main__":
    main()
