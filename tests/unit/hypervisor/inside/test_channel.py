from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from launcher.hypervisor.inside.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Iterator


class Host:
    """The host's end of a channel, which reads when it likes."""

    def __init__(self) -> None:
        self.end, guest = socket.socketpair()
        guest.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        guest.setblocking(False)  # noqa: FBT003
        self.channel = Channel(guest.detach())
        self.end.setblocking(False)  # noqa: FBT003

    def read(self) -> bytes:
        try:
            return self.end.recv(1 << 20)
        except BlockingIOError:
            return b""


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.end.close()
    os.close(host.channel._descriptor)  # noqa: SLF001  (whoever gave it away closes it)


def test_line_arrives_as_it_is(host: Host) -> None:
    host.channel.send(b'{"v": 1}\n')
    assert host.read() == b'{"v": 1}\n'


def test_host_that_does_not_read_gets_whole_lines_and_the_latest(host: Host) -> None:
    lines = [f"{number}".encode() * 3000 + b"\n" for number in range(10)]
    for line in lines:
        host.channel.send(line)
    received = host.read()
    while not host.channel.pump():
        received += host.read()
    received += host.read()
    found = received.splitlines(keepends=True)
    assert set(found) <= set(lines)
    assert found[-1] == lines[-1]
    assert len(found) < len(lines)
