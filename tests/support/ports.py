"""Ports for the servers of tests, which nobody else takes between the choice and the use."""

from __future__ import annotations

import errno
import functools
import itertools
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Below those that Linux gives to clients and to whoever asks for any port (ip(7),
# ip_local_port_range): a connection of anybody could take one of these at any moment.
LOWEST, HIGHEST = 10_000, 20_000
BLOCK = 400  # as many as one run of the tests has before it begins again


def free_port() -> int:
    """Return a port that nobody holds now, and that no other run of tests will take."""
    return next(port for port in itertools.islice(_own_ports(), BLOCK) if is_free(port))


def is_free(port: int) -> bool:
    """Tell whether a server could be started on a port, on any address."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            with socket.create_server(("", port), family=family):
                pass
        except OSError as error:  # another reason than this: there is no IPv6 here
            if error.errno == errno.EADDRINUSE:
                return False
    return True


@functools.cache
def _own_ports() -> Iterator[int]:
    """Return the ports of a block that is ours until we end: a socket's name is the lock."""
    for first in range(LOWEST, HIGHEST, BLOCK):
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0vllmd-tests-ports-{first}")
        except OSError:
            lock.close()
            continue
        return _around(lock, range(first, first + BLOCK))
    raise AssertionError("no block of ports is left: do so many tests run at once?")


def _around(lock: socket.socket, ports: range) -> Iterator[int]:
    with lock:
        yield from itertools.cycle(ports)
