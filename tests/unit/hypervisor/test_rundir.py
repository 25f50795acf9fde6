"""The run directory: where it is, whose it is, who holds it, and what stays in it."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.identity import find_identity, find_user, is_alive, open_process
from launcher.hypervisor.rundir import (
    Lock,
    RunDir,
    find_rundir,
    find_rundirs,
    is_answered,
    is_too_long,
    make_rundir,
    sweep,
)
from launcher.record import replace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    found = RunDir(path=str(tmp_path / "run/chat"))
    make_rundir(found)
    return found


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"RUNTIME_DIRECTORY": "/run/vllmd/chat"}, "/run/vllmd/chat"),
        ({"RUNTIME_DIRECTORY": "/run/vllmd:/run/x"}, "/run/vllmd/chat"),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, "/run/user/7/vllmd-hypervisor/chat"),
    ],
)
def test_place_is_the_first_that_is_given(environ: dict[str, str], expected: str) -> None:
    assert find_rundirs("chat", environ)[0].path == expected


def test_place_is_where_the_guest_is(tmp_path: Path) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path / "a"), "XDG_RUNTIME_DIR": str(tmp_path)}
    there = tmp_path / "vllmd-hypervisor/chat"
    there.mkdir(parents=True)
    (there / "state.json").write_text("{}")
    assert find_rundir("chat", environ).path == str(there)


def test_folder_is_for_its_user_alone(rundir: RunDir) -> None:
    assert os.stat(rundir.path).st_mode & 0o777 == 0o700


def test_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chat").symlink_to(tmp_path)
    with pytest.raises(HostError, match="belongs to somebody else"):
        make_rundir(RunDir(path=str(tmp_path / "chat")))


def test_folder_that_others_can_replace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    with pytest.raises(HostError, match=r"somebody else may write to '.*/run'"):
        make_rundir(RunDir(path=str(tmp_path / "run/chat")))
    (tmp_path / "run").chmod(0o1777)  # as /tmp: nobody can rename what is not his
    make_rundir(RunDir(path=str(tmp_path / "run/chat")))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folder_within_somebody_elses_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    os.chown(tmp_path / "run", 12345, 12345)
    with pytest.raises(HostError, match="somebody else may write to"):
        make_rundir(RunDir(path=str(tmp_path / "run/chat")))


def test_file_that_leads_elsewhere_is_not_read(rundir: RunDir, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    os.symlink(tmp_path / "secret", rundir.file("guest.json"))
    os.mkfifo(rundir.file("stopping"))
    assert rundir.read("guest.json") == b""
    assert rundir.read("stopping") == b""
    assert rundir.read("") == b""


def test_lock_has_one_holder(rundir: RunDir) -> None:
    first, second = Lock(rundir), Lock(rundir)
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert not first.held
    make_rundir(rundir)
    assert second.acquire()
    second.release()


def test_lock_takes_the_folder_along_when_nothing_is_left(rundir: RunDir) -> None:
    lock = Lock(rundir)
    assert lock.acquire()
    lock.release()
    assert not os.path.exists(rundir.path)


def test_lock_on_a_folder_that_goes_is_not_taken(tmp_path: Path) -> None:
    assert not Lock(RunDir(path=str(tmp_path / "gone"))).acquire()


def test_sweep_keeps_the_console_and_who_still_answers(rundir: RunDir) -> None:
    for name in ("state.json", "guest.json", "console.log", "console.log.1", "vmm.pid"):
        open(rundir.file(name), "w").close()
    stale, alive = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    with stale, alive:
        stale.bind(rundir.file("stale.sock"))
        alive.bind(rundir.file("alive.sock"))
        alive.listen(1)
        sweep(rundir)
        assert sorted(os.listdir(rundir.path)) == ["alive.sock", "console.log", "console.log.1"]
        assert is_answered(rundir.file("alive.sock"))


def test_state_of_no_guest_is_none(rundir: RunDir) -> None:
    assert rundir.find_state() is None
    assert rundir.read("guest.json") == b""


def test_path_is_too_long_from_108_bytes_on() -> None:
    assert not is_too_long(RunDir(path="/" + "x" * 90))
    assert is_too_long(RunDir(path="/" + "x" * 91))


def test_process_is_alive_only_as_itself() -> None:
    us = find_identity(os.getpid())
    assert us is not None
    assert is_alive(us)
    later = replace(us, start=us.start + 1)  # the pid has been given to somebody else
    assert not is_alive(later)
    assert not is_alive(replace(us, boot="another"))
    assert open_process(later) is None
    assert not is_alive(None)
    assert find_identity(2**22 + 1) is None
    assert (find_user(us.pid), find_user(2**22 + 1)) == (os.getuid(), None)
