"""A server that counts what it writes. Run as a script: stub.py ... --port N.

`SOAK_KIND` says what else is wrong with it; `SOAK_TALLY` names a folder in which each life keeps a
file with the number of bytes that it has written, which survives any end. SIGUSR1 makes it write
`FLOOD_LINES` lines as fast as it can, SIGUSR2 ends it with code 0 though nobody asked.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
WIDTH = 100  # bytes of a line
FLOOD_LINES = 20_000
AT_ONCE = 650  # lines in one write(2): about as much as a pipe holds


class Writer:
    """Writes numbered lines of one life: `NAME.PID.NANOSECONDS NUMBER xxx...`."""

    def __init__(self, folder: str, name: str) -> None:
        self.life = f"{name}.{os.getpid()}.{time.monotonic_ns()}"
        self._number = 0
        self._written = 0
        self._asked = 0
        descriptor = os.open(os.path.join(folder, self.life), os.O_RDWR | os.O_CREAT)
        os.ftruncate(descriptor, 8)
        self._tally = mmap.mmap(descriptor, 8)
        os.close(descriptor)

    def flood(self, *_: object) -> None:
        """Write many lines; asked once more meanwhile, write them afterwards."""
        self._asked += 1
        if self._asked > 1:
            return
        while self._asked:
            self.write(FLOOD_LINES)
            self._asked -= 1

    def write(self, count: int) -> None:
        """Write so many lines, in pieces."""
        while count > 0:
            lines = [self._line() for _ in range(min(AT_ONCE, count))]
            count -= len(lines)
            view = memoryview(b"".join(lines))
            while view:
                done = os.write(1, view)
                self._written += done
                self._tally[:] = self._written.to_bytes(8, "little")
                view = view[done:]

    def _line(self) -> bytes:
        self._number += 1
        return f"{self.life} {self._number - 1:08d} ".ljust(WIDTH - 1, "x").encode() + b"\n"


def main() -> None:
    port = int(sys.argv[sys.argv.index("--port") + 1])
    kind = os.environ["SOAK_KIND"]
    deaf = signal.SIG_IGN if kind == "deaf" else _leave
    signal.signal(signal.SIGTERM, deaf)
    signal.signal(signal.SIGUSR2, _leave)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if kind == "child":
        _fork_one(own_session=False)
    elif kind == "daemon":
        _fork_one(own_session=True)
    elif kind == "slow":
        time.sleep(1)
    writer = Writer(os.environ["SOAK_TALLY"], os.environ["VLLMD_INSTANCE"])
    signal.signal(signal.SIGUSR1, writer.flood)
    writer.write(10)
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            _answer(listener, writer)


def _answer(listener: socket.socket, writer: Writer) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)
        try:
            connection.recv(4096)
            connection.sendall(ANSWER)
        except OSError:
            return  # who asked has gone
    writer.write(1)


def _fork_one(*, own_session: bool) -> None:
    """Leave a process that ignores SIGTERM; in a session of its own, it also loses its parent."""
    if os.fork():
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    if own_session:
        os.setsid()
        if os.fork():
            os._exit(0)
    while True:
        signal.pause()


def _leave(*_: object) -> None:
    os._exit(0)


if __name__ == "__main__":
    main()
