"""What a user did wrong, told in one message each, all at once; nothing is left behind."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.rundir import Lock, RunDir, make_rundir
from launcher.hypervisor.starting import hold, plan_guest
from tests.support.commands import obey_permissions
from tests.support.hypervisor import kill

if TYPE_CHECKING:
    from tests.support.hypervisor import Host

P = "VLLMD_HYPERVISOR_"
REQUIRED = ("KERNEL_FILEPATH", "SYSTEM_IMAGE_FILEPATH", "CONFIG_IMAGE_FILEPATH")


def refusal(host: Host, **changes: str) -> str:
    """Start with some variables changed; return what is said against it."""
    asked = host.ask(
        "start", env=host.environ({f"{P}{key}": text for key, text in changes.items()})
    )
    assert asked.code in {69, 78}, asked.stderr
    assert "Traceback" not in asked.stderr
    assert host.left() == []
    return asked.stderr.replace(str(host.folder), "FOLDER")


@pytest.mark.parametrize("name", REQUIRED)
def test_required_variable_that_is_unset_is_told(qemu: Host, name: str) -> None:
    assert f"error: {P}{name}: this variable is required\nhint: set it: " in refusal(
        qemu, **{name: ""}
    )


@pytest.mark.parametrize("name", [*REQUIRED, "INITRAMFS_FILEPATH"])
def test_file_that_is_missing_is_told(qemu: Host, name: str) -> None:
    said = refusal(qemu, **{name: "/nowhere/x"})
    assert f"error: {P}{name}: '/nowhere/x' does not exist\nhint: " in said
    assert "with: vllmd-hypervisor " in said


def test_folder_is_no_image(qemu: Host) -> None:
    said = refusal(qemu, SYSTEM_IMAGE_FILEPATH=str(qemu.folder))
    assert "SYSTEM_IMAGE_FILEPATH: 'FOLDER' is a folder" in said


def test_empty_file_is_no_kernel(qemu: Host) -> None:
    assert "'FOLDER/empty' is empty" in refusal(qemu, KERNEL_FILEPATH=qemu.file("empty", b""))


def test_pipe_is_no_kernel(qemu: Host) -> None:
    os.mkfifo(qemu.folder / "pipe")
    assert "'FOLDER/pipe' is not a file" in refusal(qemu, KERNEL_FILEPATH=str(qemu.folder / "pipe"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("CPU_COUNT", "0", "expected a whole number of at least 1, got 0"),
        ("CPU_COUNT", "9000", "no machine has 9000 CPUs"),
        ("CPU_COUNT", "many", "expected a whole number of at least 1, got 'many'"),
        ("CPU_COUNT", "300", "QEMU takes at most 255 vCPUs here"),
        ("MEMORY_CONFIG", "size=1T", "size: '1T' is not a size"),
        ("BACKEND", "xen", "expected one of 'auto', 'cloud-hypervisor', 'qemu', got 'xen'"),
        ("ACCEL", "hvf", "expected one of 'auto', 'kvm', 'tcg', got 'hvf'"),
        ("NAME", "a/b", "'a/b' cannot be the name of a guest"),
        ("NET", "bridge", "'bridge' is no part of a network"),
        ("PUBLISH", "http", "'http' publishes no port"),
        ("STOP_TIMEOUT", "soon", "expected a number of seconds above 0, got 'soon'"),
        ("DEVICE_FILEPATH_LIST", "/dev/vfio/999", "this machine has no IOMMU group"),
        ("DEVICE_FILEPATH_LIST", "beef:ff:1f.7", "this machine has no PCI device beef:ff:1f.7"),
        ("LOG_FILEPATH", "/dev/null/log", "cannot be made"),
        ("CMDLINE", "a\nb", "a kernel command line is one line of text"),
    ],
)
def test_variable_that_means_nothing_is_told(
    qemu: Host, name: str, text: str, message: str
) -> None:
    said = refusal(qemu, **{name: text})
    assert f"error: {P}{name}: " in said
    assert message in said


def test_every_mistake_is_told_at_once(qemu: Host) -> None:
    said = refusal(qemu, KERNEL_FILEPATH="", CPU_COUNT="0", MEMORY_CONFIG="size=1T,siz=2")
    assert "4 errors" in said


def test_image_in_use_by_another_guest_is_told(qemu: Host) -> None:
    qemu.run(env=qemu.environ())
    other = qemu.environ({f"{P}SYSTEM_IMAGE_FILEPATH": f"{qemu.folder}/{qemu.name}.img"}, other="b")
    asked = qemu.ask("start", env=other)
    assert asked.code == 78
    assert f"{qemu.name}.img' is in use by another guest\nhint: stop that guest" in asked.stderr


def test_config_image_may_be_shared_by_readers(qemu: Host) -> None:
    qemu.run(env=qemu.environ())
    process = qemu.run(env=qemu.environ(other="b"))
    assert process.poll() is None


def test_config_image_that_somebody_writes_is_told(qemu: Host) -> None:
    with open(qemu.folder / "config.img", "rb+") as file:
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(file.fileno(), fcntl.F_OFD_SETLK, lock)
        assert "config.img' is in use by another guest" in refusal(qemu)


def test_image_that_is_not_what_its_name_says_is_told(qemu: Host) -> None:
    disguised = qemu.file("disguised.img", b"QFI\xfb" + bytes(600))
    said = refusal(qemu, SYSTEM_IMAGE_FILEPATH=disguised)
    assert "'FOLDER/disguised.img' is a qcow2 image, and its name says raw" in said


def test_image_used_twice_is_told(qemu: Host) -> None:
    same = str(qemu.folder / "config.img")
    assert "are the same" in refusal(qemu, SYSTEM_IMAGE_FILEPATH=same)


def test_port_that_is_taken_is_told(qemu: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(qemu, PUBLISH=f"{port}:8000")
    assert f"PUBLISH: 127.0.0.1:{port} cannot be listened on: address already in use" in said


def test_run_directory_that_is_too_long_is_told(qemu: Host) -> None:
    folder = qemu.folder / ("x" * 90)
    folder.mkdir()
    env = qemu.environ({"XDG_RUNTIME_DIR": str(folder)})
    asked = qemu.ask("start", env=env)
    assert asked.code == 78
    assert "would have paths of more than 107 bytes\nhint: give the guest a shorter" in asked.stderr


def test_more_huge_pages_than_free_are_the_machines_fault(qemu: Host) -> None:
    said = refusal(qemu, MEMORY_CONFIG="size=64G,hugepages=on,hugepage_size=2M")
    assert "MEMORY_CONFIG: the guest needs 32768 huge pages of 2048 KiB, and " in said
    assert "hint: reserve them with: sudo vllmd-hypervisor initialize" in said


def test_missing_qemu_is_told(qemu: Host) -> None:
    asked = qemu.ask("start", env=qemu.environ({"PATH": "/nowhere"}))
    assert asked.code == 69
    assert "error: QEMU is not on PATH\nhint: install it: " in asked.stderr
    assert qemu.left() == []


def test_kernel_that_is_none_ends_before_the_guest_runs(qemu: Host) -> None:
    said = refusal(qemu, KERNEL_FILEPATH=str(qemu.folder / "kernel"))
    assert "error: qemu ended before the guest ran: " in said


def test_unreadable_file_is_told_to_who_may_not_read_it(qemu: Host) -> None:
    path = qemu.file("secret", b"x")
    os.chmod(path, 0)
    said = refusal_of_humble(qemu, {f"{P}KERNEL_FILEPATH": path})
    assert "secret' cannot be read: permission denied\nhint: let this user read it" in said


def test_cpu_count_that_is_refused_is_no_reason_to_warn_of_the_default(qemu: Host) -> None:
    said = refusal(qemu, CPU_COUNT="0", MEMORY_CONFIG="size=0")
    assert "warning" not in said
    assert "hint: write 1 or more" in said


def refusal_of_humble(host: Host, changes: dict[str, str]) -> str:
    """Start without root's right to read everything; return what is said."""
    asked = host.ask("start", env=host.environ(changes), before=obey_permissions)
    assert asked.code == 78
    return asked.stderr


def test_unknown_variable_is_a_warning(qemu: Host) -> None:
    asked = qemu.ask("start", "--dry-run", env=qemu.environ({f"{P}CPU_COUNTS": "4"}))
    assert asked.code == 0
    assert f"warning: {P}CPU_COUNTS: " in asked.stderr
    assert f"did you mean '{P}CPU_COUNT'?" in asked.stderr
    assert asked.stdout.startswith("/")


def test_guest_of_another_user_is_not_called_stopped(qemu: Host) -> None:
    env = qemu.environ()
    qemu.rundir().mkdir(parents=True)
    qemu.rundir().chmod(0)
    asked = qemu.ask("status", env=env, before=obey_permissions)
    assert asked.code == 4
    assert asked.stdout == f"{qemu.name}: unknown (it is another user's: ask with sudo)\n"
    stopped = qemu.ask("stop", env=env, before=obey_permissions)
    assert (stopped.code, stopped.stderr.splitlines()[0]) == (
        69,
        "error: the guest is another user's",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_stop_by_root_ends_no_process_of_others(qemu: Host) -> None:
    env = qemu.environ()
    process = qemu.run(env=env)
    # As if the guest's user had written the pid of somebody else's process down.
    os.chown(qemu.rundir(), 12345, 12345)
    stopped = qemu.ask("stop", env=env)
    assert (stopped.code, "is not of the user whose guest" in stopped.stderr) == (69, True)
    assert process.poll() is None


def test_failed_start_leaves_no_empty_log(qemu: Host) -> None:
    said = refusal(qemu, KERNEL_FILEPATH=str(qemu.folder / "kernel"), LOG_FILEPATH="/dev/stdout")
    assert "ended before the guest ran" in said


def test_start_waits_for_who_tidies_up(qemu: Host) -> None:
    env = qemu.environ()
    rundir = RunDir(path=str(qemu.rundir()))
    os.makedirs(os.path.dirname(rundir.path))
    make_rundir(rundir)
    lock = Lock(rundir)
    assert lock.acquire()
    process = qemu.start(env=env)
    threading.Timer(1, lock.release).start()
    qemu.wait_state("running", env)
    assert process.poll() is None


def test_start_beside_another_start_is_refused(qemu: Host) -> None:
    plan = plan_guest(qemu.environ())
    with (
        hold(plan),
        pytest.raises(HostError, match="is being started or stopped by somebody else"),
        hold(plan, patience_s=0.2),
    ):
        pytest.fail("both hold it")


def test_start_overtaken_by_another_leaves_its_guest_alone(qemu: Host) -> None:
    env = qemu.environ()
    plan = plan_guest(env)
    assert qemu.ask("start", "--detach", env=env).code == 0
    found = qemu.wait_state("running", env)
    kill(found["supervisor_pid"])
    with pytest.raises(HostError, match="is running already"), hold(plan):
        pytest.fail("two guests of one name")
    assert qemu.wait_state("running", env)["pid"] == found["pid"]
