"""What `start` says, and where the guest's console goes."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.hypervisor import HELLO
from tests.support.vmm_behaviour import END_S
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from tests.support.hypervisor import Host

LEVEL, LOG = "VLLMD_HYPERVISOR_LOG_LEVEL", "VLLMD_HYPERVISOR_LOG_FILEPATH"


def test_debug_tells_the_command_line_and_events(qemu: Host) -> None:
    qemu.run(env=qemu.environ({"VLLMD_HYPERVISOR_DEBUG": "1"}))
    assert "vllmd-hypervisor: command line: /" in qemu.said()


def test_level_error_says_nothing_while_all_is_well(qemu: Host) -> None:
    env = qemu.environ({LEVEL: "ERROR"})
    process = qemu.run(env=env)
    qemu.ask("stop", env=env)
    assert process.wait(END_S) == 0
    assert qemu.said() == ""


def test_log_is_appended_to_and_its_folder_made(qemu: Host) -> None:
    env = qemu.environ({LOG: str(qemu.folder / "logs/guest.log")})
    for _ in range(2):
        qemu.run(env=env)
        qemu.ask("stop", env=env)
    assert Path(env[LOG]).read_text().count(HELLO) == 2
    assert Path(env[LOG]).stat().st_mode & 0o007 == 0


def test_log_to_stdout_works_where_stdout_is_a_socket(qemu: Host) -> None:
    # As under systemd's journal: /dev/stdout cannot be opened then, only written to.
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = qemu.start(env=qemu.environ({LOG: "/dev/stdout"}), stdout=theirs.fileno())
        ours.settimeout(qemu.within_s)
        heard = b""
        while HELLO.encode() not in heard:
            heard += ours.recv(4096)
        process.terminate()
        assert process.wait(END_S) == 0


def test_log_to_a_reader_who_leaves_does_not_end_the_guest(qemu: Host) -> None:
    env = qemu.environ({LOG: "-"})
    reading, writing = os.pipe()
    process = qemu.start(env=env, stdout=writing)
    os.close(writing)
    os.close(reading)
    wait_until(
        lambda: HELLO in qemu.ask("logs", env=env).stdout, "hello in the copy", qemu.within_s
    )
    assert qemu.ask("stop", env=env).code == 0
    assert process.wait(END_S) == 0


def test_log_that_is_a_link_is_refused(qemu: Host) -> None:
    (qemu.folder / "link").symlink_to("/etc/passwd")
    asked = qemu.ask("start", env=qemu.environ({LOG: str(qemu.folder / "link")}))
    assert asked.code == 78
    assert "is not a regular file that this user can write" in asked.stderr


def test_logs_without_a_log_says_so(qemu: Host) -> None:
    asked = qemu.ask("logs", env=qemu.environ())
    assert asked.code == 69
    assert f".log' of guest '{qemu.name}' cannot be read: no such file" in asked.stderr
