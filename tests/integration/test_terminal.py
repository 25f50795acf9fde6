"""At a terminal: the main program has it while it runs, then the launcher has it again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import sys
import termios

from tests.support.launching import Launcher, Stub
from tests.support.wait import wait_until

CTRL_C = b"\x03"


class Terminal:
    """A pseudo-terminal with `vllmd run` as its foreground job."""

    def __init__(self, launcher: Launcher, *words: str) -> None:
        argv = [sys.executable, "-m", "launcher", "run", *words]
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, launcher.environ())  # noqa: S606
        self.shown = ""
        os.set_blocking(self.master, False)

    def read(self) -> str:
        """Return all that has been shown so far."""
        with contextlib.suppress(OSError):  # nothing there now, or nobody left at the other end
            self.shown += os.read(self.master, 65536).decode()
        return self.shown

    def wait_for(self, words: str) -> None:
        """Wait until something is shown."""
        wait_until(lambda: words in self.read(), f"{words!r} on the terminal")

    def owner(self) -> int:
        """Return the process group that has the terminal."""
        data = fcntl.ioctl(self.master, termios.TIOCGPGRP, b"\0" * 4)
        return int.from_bytes(data, sys.byteorder)

    def exit_code(self) -> int:
        """Wait for the launcher's end; return its code."""
        ended: list[int] = []

        def has_ended() -> bool:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            ended.extend([os.waitstatus_to_exitcode(status)] if pid else [])
            return bool(pid)

        wait_until(has_ended, "the launcher to end")
        return ended[0]


def test_ctrl_c_at_a_terminal_stops_all(launcher: Launcher) -> None:
    terminal = Terminal(launcher, launcher.write(Stub()))
    terminal.wait_for("healthy after")
    os.write(terminal.master, CTRL_C)
    assert terminal.exit_code() == 0
    assert "got SIGINT: stopping" in terminal.read()
    assert launcher.left() == []


def test_main_program_has_the_terminal_and_the_launcher_has_it_back(launcher: Launcher) -> None:
    stub = Stub(server={"stub_ignore_term": True}, control={"stop_timeout_s": 60})
    command = ("sh", "-c", "echo type; read -r line; echo typed $line; exit 3")
    terminal = Terminal(launcher, launcher.write(stub), "--", *command)
    terminal.wait_for("type")
    terminal.wait_for("healthy after")
    assert terminal.owner() != terminal.pid
    os.write(terminal.master, b"hello\n")
    terminal.wait_for("typed hello")
    wait_until(lambda: terminal.owner() == terminal.pid, "the launcher to have the terminal")
    os.write(terminal.master, CTRL_C)  # the server takes its time: now, please
    assert terminal.exit_code() == 3
    assert "got SIGINT: stopping now" in terminal.read()
    assert launcher.left() == []
