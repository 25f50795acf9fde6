"""What the first process of a guest does with the power button, and before it powers off."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

from launcher.hypervisor.inside.button import EV_KEY, EVENT, KEY_POWER, PRESSED
from launcher.hypervisor.inside.minimal import drain_console
from tests.support.launching import ROOT
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

# The button's device is our standard input; the entrypoint counts what it is sent.
FIRST_PROCESS = """
import os, sys
from launcher.hypervisor.inside.button import PowerButton
from launcher.hypervisor.inside.channel import Channel
from launcher.hypervisor.inside.session import Session

button = PowerButton()
button.descriptors = [0]
os.set_blocking(0, False)
session = Session(dict(os.environ), Channel(os.open(os.devnull, os.O_WRONLY)), button)
nobody = f"{sys.argv[2]}/no.sock"  # not a launcher that happens to run on this machine
sys.exit(session.run((sys.executable, "-c", sys.argv[1], sys.argv[2]), nobody))
"""
# It ends at the second signal, or when it is told to in its folder.
ENTRYPOINT = """
import os, pathlib, signal, sys, time
folder, count = pathlib.Path(sys.argv[1]), 0
def stop(*_):
    global count
    count += 1
    (folder / f"signal{count}").touch()
    if count > 1:
        os._exit(9)
signal.signal(signal.SIGTERM, stop)
(folder / "up").touch()
until = time.monotonic() + 120
while not (folder / "end").exists() and time.monotonic() < until:
    time.sleep(0.01)
"""
PRESS = EVENT.pack(0, 0, EV_KEY, KEY_POWER, PRESSED)


def test_button_pressed_again_lets_the_servers_finish(tmp_path: Path) -> None:
    words = [sys.executable, "-c", FIRST_PROCESS, ENTRYPOINT, str(tmp_path)]
    device, finger = os.pipe()
    with subprocess.Popen(words, stdin=device, stdout=subprocess.PIPE, cwd=ROOT) as process:
        wait_until((tmp_path / "up").exists, "the entrypoint runs")
        press(finger)
        wait_until((tmp_path / "signal1").exists, "it was told to stop")
        for _ in range(3):
            press(finger)
        (tmp_path / "end").touch()
        said, _ = process.communicate(timeout=60)
    os.close(device)
    os.close(finger)
    assert process.returncode == 0
    assert said.count(b"the power button was pressed") == 1
    assert not (tmp_path / "signal2").exists()


def press(finger: int) -> None:
    """Press the button, and wait until that has been read."""
    os.write(finger, PRESS)
    wait_until(lambda: unread(finger) == 0, "the press was read")


def unread(pipe: int) -> int:
    found: int = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]
    return found


def test_console_is_waited_for_until_the_host_has_read_it() -> None:
    # A socket is asked in the same way as a terminal how much of it is on its way.
    host, console = socket.socketpair()
    with host, console:
        console.sendall(b"the reason")
        assert not drain_console(console.fileno(), 0.05)
        host.recv(100)
        assert drain_console(console.fileno(), 60)


def test_console_that_is_no_terminal_is_not_waited_for(tmp_path: Path) -> None:
    with (tmp_path / "console").open("wb") as console:
        assert drain_console(console.fileno(), 60)
