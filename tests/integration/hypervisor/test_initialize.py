"""Preparing a host: for real, in a network namespace of its own."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import ROOT
from tests.support.require import require_program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.netns import Namespace
    from tests.support.preparing import HostCommands

RUNTIMES = """
[[runtimes]]
index = 1
name = "one"
guest.memory = "size=64M"

[[runtimes]]
index = 2
name = "two"
guest.memory = "size=64M"
"""
HOLD_TAP = """
import fcntl, struct, sys
tun = open("/dev/net/tun", "r+b", buffering=0)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", sys.argv[1].encode(), 0x5002))
print("held", flush=True)
sys.stdin.read()
"""
SERVE = """
import socket
with socket.create_server(("192.0.2.1", 7000)) as server:
    print("ready", flush=True)
    print(server.accept()[1][0], flush=True)
"""
CALL = "import socket; socket.create_connection(('192.0.2.1', 7000), 60).close()"


@pytest.fixture
def prepared(networked: HostCommands) -> HostCommands:
    require_program("integration", "nft")
    networked.write_host(RUNTIMES)
    return networked


def add_interface(namespace: Namespace, name: str = "eth0") -> None:
    """Add an interface with a default route: a bridge without ports does for that."""
    namespace.ip(f"link add {name} type bridge")
    namespace.ip(f"addr add 192.0.2.5/24 dev {name}")
    namespace.ip(f"link set {name} up")
    namespace.ip(f"route add default via 192.0.2.1 dev {name}")


def test_bridge_has_its_address_and_a_tap_for_each_runtime(
    prepared: HostCommands, namespace: Namespace
) -> None:
    done = prepared.run("initialize")
    assert (done.code, done.err) == (0, "")
    assert namespace.addresses("vllmd-br0") == ["10.111.0.1/24"]
    taps = {name: link for name, link in namespace.links().items() if "tap" in name}
    assert {name: link["master"] for name, link in taps.items()} == {
        "vllmd-tap1": "vllmd-br0",
        "vllmd-tap2": "vllmd-br0",
    }
    assert all("UP" in link["flags"] for link in namespace.links().values())
    assert all(link["linkinfo"]["info_data"]["persist"] for link in taps.values())


def test_taps_belong_to_the_guests_user(prepared: HostCommands, namespace: Namespace) -> None:
    prepared.write_host(RUNTIMES, user="nobody")
    assert prepared.run("initialize").code == 0
    assert "user nobody" in namespace.ip("-details link show vllmd-tap1")
    assert (prepared.state_dir / "one").stat().st_uid == 65534


def test_tap_of_another_user_is_told(prepared: HostCommands, namespace: Namespace) -> None:
    prepared.run("initialize")
    prepared.write_host(RUNTIMES, user="nobody")
    done = prepared.run("initialize")
    assert (done.code, done.out) == (69, "nothing was changed\n")
    assert "the tap 'vllmd-tap1' is for the user 0, and the guests' user is 65534" in done.err
    namespace.ip("link delete vllmd-tap1")
    namespace.ip("link delete vllmd-tap2")
    assert prepared.run("initialize").code == 0
    assert prepared.run("initialize", "--undo").code == 0
    assert (namespace.links(), prepared.state_dir.exists()) == ({}, False)


def test_folders_are_for_their_user_alone(prepared: HostCommands) -> None:
    prepared.run("initialize")
    modes = {p.name: p.stat().st_mode & 0o777 for p in prepared.state_dir.rglob("*")}
    assert modes == {"one": 0o700, "two": 0o700, "initialize.json": 0o600}


def test_second_run_changes_nothing(prepared: HostCommands, namespace: Namespace) -> None:
    prepared.run("initialize")
    former, journal = namespace.state(), (prepared.state_dir / "initialize.json").read_text()
    done = prepared.run("initialize")
    assert (done.code, done.out) == (0, "nothing to do: this host is prepared\n")
    assert namespace.state() == former
    assert (prepared.state_dir / "initialize.json").read_text() == journal


def test_new_runtime_gets_only_what_it_lacks(prepared: HostCommands) -> None:
    prepared.run("initialize")
    prepared.write_host(RUNTIMES + '[[runtimes]]\nindex = 3\nname = "x"\nguest.memory = "size=64M"')
    assert prepared.run("initialize").out.splitlines() == [
        "done: make the folder 'FOLDER/state/x', mode 0700",
        "done: create the tap 'vllmd-tap3' for the user 0",
        "done: make 'vllmd-tap3' a port of 'vllmd-br0'",
    ]


def test_undo_leaves_nothing(prepared: HostCommands, namespace: Namespace, tmp_path: Path) -> None:
    add_interface(namespace)
    former, files = namespace.state(), sorted(tmp_path.iterdir())
    prepared.run("initialize")
    assert namespace.state() != former
    done = prepared.run("initialize", "--undo")
    assert (done.code, done.err) == (0, "")
    assert namespace.state() == former
    assert sorted(tmp_path.iterdir()) == files
    assert prepared.run("initialize", "--undo").out == "nothing to undo\n"


@pytest.mark.parametrize("by_variable", [True, False])
def test_dry_run_changes_nothing(
    prepared: HostCommands, namespace: Namespace, tmp_path: Path, *, by_variable: bool
) -> None:
    former, files = namespace.state(), sorted(tmp_path.iterdir())
    if by_variable:
        done = prepared.run("initialize", env={"VLLMD_HYPERVISOR_DRY_RUN": "true"})
    else:
        done = prepared.run("initialize", "--dry-run")
    assert done.code == 0
    assert "would create the bridge 'vllmd-br0'\n" in done.out
    assert (namespace.state(), sorted(tmp_path.iterdir())) == (former, files)


def crash(host: HostCommands, at: int, *words: str) -> int:
    """Run a command that is killed before its journal is written for the nth time."""
    program = f"{ROOT}/tests/programs/die_at_journal.py"
    return host.execute([sys.executable, program, str(at), "initialize", *words]).code


@pytest.mark.parametrize("at", [2, 3, 8, 11, 14, 17])
def test_undo_leaves_nothing_after_a_crash(
    prepared: HostCommands, namespace: Namespace, tmp_path: Path, at: int
) -> None:
    add_interface(namespace)
    former, files = namespace.state(), sorted(tmp_path.iterdir())
    prepared.state_dir.mkdir(mode=0o700)  # without it there is nothing to write down at first
    assert crash(prepared, at) == -signal.SIGKILL
    assert prepared.run("initialize", "--undo").code == 0
    prepared.state_dir.rmdir()
    assert (namespace.state(), sorted(tmp_path.iterdir())) == (former, files)


def test_crash_is_made_good_by_the_next_run(prepared: HostCommands, namespace: Namespace) -> None:
    former = namespace.state()
    assert crash(prepared, 10) == -signal.SIGKILL
    assert prepared.run("initialize").code == 0
    assert "nothing to do" in prepared.run("initialize").out
    assert crash(prepared, 4, "--undo") == -signal.SIGKILL
    assert prepared.run("initialize", "--undo").code == 0
    assert (namespace.state(), prepared.state_dir.exists()) == (former, False)


def test_two_at_once_do_it_once(prepared: HostCommands, namespace: Namespace) -> None:
    former = namespace.state()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        both = list(pool.map(prepared.run, ["initialize"] * 3))
    assert [(done.code, done.err) for done in both] == [(0, "")] * 3
    said = "".join(done.out for done in both)
    assert said.count("create the bridge 'vllmd-br0'") == 1
    assert prepared.run("initialize", "--undo").code == 0
    assert (namespace.state(), prepared.state_dir.exists()) == (former, False)


def test_dry_undo_changes_nothing(prepared: HostCommands, namespace: Namespace) -> None:
    prepared.run("initialize")
    former = namespace.state()
    assert "would undo: create the bridge" in prepared.run("initialize", "--undo", "--dry-run").out
    assert namespace.state() == former


def test_bridge_that_was_there_stays(prepared: HostCommands, namespace: Namespace) -> None:
    namespace.ip("link add vllmd-br0 type bridge")
    former = namespace.state()
    prepared.run("initialize")
    assert namespace.addresses("vllmd-br0") == ["10.111.0.1/24"]
    prepared.run("initialize", "--undo")
    assert namespace.state() == former


def test_bridge_with_another_name_by_the_variable(
    prepared: HostCommands, namespace: Namespace
) -> None:
    prepared.run("initialize", env={"VLLMD_BRIDGE_NAME": "other0"})
    assert set(namespace.links()) == {"other0", "vllmd-tap1", "vllmd-tap2"}


def test_network_is_skipped_by_the_variable(prepared: HostCommands, namespace: Namespace) -> None:
    assert prepared.run("initialize", env={"VLLMD_DISABLE_NETWORK": "true"}).code == 0
    assert namespace.links() == {}


def test_undo_refuses_while_a_guest_uses_its_tap(
    prepared: HostCommands, namespace: Namespace
) -> None:
    prepared.run("initialize")
    guest = namespace.python(HOLD_TAP, "vllmd-tap2")
    assert guest.stdout is not None
    assert guest.stdout.readline() == "held\n"
    done = prepared.run("initialize", "--undo")
    assert (done.code, done.err.splitlines()[0]) == (
        69,
        "error: a guest uses the tap 'vllmd-tap2'",
    )
    guest.communicate()
    assert prepared.run("initialize", "--undo").code == 0
    assert namespace.links() == {}


def test_undo_keeps_a_bridge_with_ports_of_others(
    prepared: HostCommands, namespace: Namespace
) -> None:
    prepared.run("initialize")
    namespace.ip("link add other0 type veth peer name other1")
    namespace.ip("link set other0 master vllmd-br0")
    done = prepared.run("initialize", "--undo")
    assert (done.code, "has other ports: other0" in done.err) == (69, True)
    assert "vllmd-br0" in namespace.links()
    namespace.ip("link set other0 nomaster")
    assert prepared.run("initialize", "--undo").code == 0
    assert set(namespace.links()) == {"other0", "other1"}
    assert not prepared.state_dir.exists()


def test_subnet_of_somebody_else_is_refused(prepared: HostCommands, namespace: Namespace) -> None:
    namespace.ip("link add office0 type bridge")
    namespace.ip("addr add 10.111.0.7/16 dev office0")
    former = namespace.state()
    done = prepared.run("initialize")
    assert done.code == 69
    assert "'office0' has the address 10.111.0.7/16, which is in the subnet" in done.err
    assert (namespace.state(), prepared.state_dir.exists()) == (former, False)


def test_interface_with_the_name_of_the_bridge_is_refused(
    prepared: HostCommands, namespace: Namespace
) -> None:
    namespace.ip("link add vllmd-br0 type veth peer name peer0")
    done = prepared.run("initialize")
    assert (done.code, "and it is no bridge" in done.err) == (69, True)


def test_interface_that_is_not_there_is_refused(prepared: HostCommands) -> None:
    done = prepared.run("initialize", env={"VLLMD_HOST_INTERFACE": "eth9"})
    assert (done.code, "this host has no interface 'eth9'" in done.err) == (69, True)


def connect(namespace: Namespace) -> None:
    """Give a host an interface with an address and the default route."""
    namespace.ip("link add wire0 type veth peer name wire1")
    namespace.ip("addr add 192.0.2.5/24 dev wire0")
    namespace.ip("link set wire0 up")
    namespace.ip("route add default via 192.0.2.1 dev wire0")


def test_interface_joins_when_asked_and_comes_back(
    prepared: HostCommands, namespace: Namespace
) -> None:
    connect(namespace)
    former = namespace.state()
    prepared.write_host(RUNTIMES + "[network]\njoin = true\n")
    done = prepared.run("initialize")
    assert (done.code, done.err) == (0, "")
    assert namespace.links()["wire0"]["master"] == "vllmd-br0"
    assert namespace.addresses("vllmd-br0") == ["192.0.2.5/24"]
    assert "default via 192.0.2.1 dev vllmd-br0" in namespace.ip("route show")
    assert "nothing to do" in prepared.run("initialize").out
    assert prepared.run("initialize", "--undo").code == 0
    assert namespace.state() == former


def test_bridge_that_was_deleted_by_hand_costs_no_address(
    prepared: HostCommands, namespace: Namespace
) -> None:
    connect(namespace)
    former = namespace.state()
    prepared.write_host(RUNTIMES + "[network]\njoin = true\n")
    prepared.run("initialize")
    namespace.ip("link delete vllmd-br0")
    assert prepared.run("initialize", "--undo").code == 0
    assert namespace.state() == former


@pytest.mark.parametrize(("global_by_now", "left"), [("0", "0\n"), ("1", "1\n")])
def test_forwarding_that_somebody_has_turned_on_since_stays(
    prepared: HostCommands, namespace: Namespace, global_by_now: str, left: str
) -> None:
    add_interface(namespace)
    prepared.run("initialize")
    # Docker does this when it starts.
    namespace.run("sh", "-c", f"echo {global_by_now} > /proc/sys/net/ipv4/ip_forward")
    prepared.run("initialize", "--undo")
    assert namespace.run("cat", "/proc/sys/net/ipv4/conf/eth0/forwarding") == left


def test_journal_that_cannot_be_written_keeps_the_host_as_it_is(
    prepared: HostCommands, namespace: Namespace
) -> None:
    prepared.state_dir.mkdir(mode=0o700)
    former = namespace.state()
    argv = [sys.executable, "-m", "launcher.cli.hypervisor", "initialize"]
    # As on a full disk: no file may have a single byte more.
    done = prepared.execute(["sh", "-c", 'ulimit -f 0; exec "$0" "$@"', *argv])
    assert (done.code, done.out) == (69, "")
    assert "'FOLDER/state/initialize.json' cannot be written: file too large" in done.err
    assert (namespace.state(), list(prepared.state_dir.iterdir())) == (former, [])


def test_filter_that_drops_lets_guests_through(
    prepared: HostCommands, namespace: Namespace
) -> None:
    require_program("integration", "iptables")
    namespace.run("iptables", "-w", "60", "-P", "FORWARD", "DROP")
    former = namespace.run("iptables", "-w", "60", "-S")
    prepared.run("initialize")
    assert "-A FORWARD -i vllmd-br0 -j ACCEPT" in namespace.run("iptables", "-w", "60", "-S")
    assert "nothing to do" in prepared.run("initialize").out
    prepared.run("initialize", "--undo")
    assert namespace.run("iptables", "-w", "60", "-S") == former


def test_guest_on_the_bridge_reaches_the_world(
    prepared: HostCommands, namespace: Namespace, world: Namespace, guest: Namespace
) -> None:
    namespace.ip(f"link add eth0 type veth peer name eth0 netns {world.pid}")
    namespace.ip("addr add 192.0.2.5/24 dev eth0")
    namespace.ip("link set eth0 up")
    world.ip("addr add 192.0.2.1/24 dev eth0")
    world.ip("link set eth0 up")
    namespace.ip("route add default via 192.0.2.1")
    assert prepared.run("initialize").code == 0
    namespace.ip(f"link add port0 type veth peer name eth0 netns {guest.pid}")
    namespace.ip("link set port0 master vllmd-br0 up")
    guest.ip("addr add 10.111.0.11/24 dev eth0")
    guest.ip("link set eth0 up")
    guest.ip("route add default via 10.111.0.1")
    server = world.python(SERVE)
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    guest.run("python3", "-c", CALL)
    # The world has no route to the guest: what it sees is the host's own address.
    assert server.communicate()[0] == "192.0.2.5\n"


@pytest.mark.parametrize("spoil", ["mode", "text"])
def test_journal_that_is_not_ours_is_refused(prepared: HostCommands, spoil: str) -> None:
    prepared.run("initialize")
    journal = prepared.state_dir / "initialize.json"
    text = journal.read_text()
    with contextlib.ExitStack() as after:
        after.callback(prepared.run, "initialize", "--undo")
        after.callback(journal.write_text, text)
        after.callback(journal.chmod, 0o600)
        if spoil == "mode":
            journal.chmod(0o666)
        else:
            journal.write_text('{"v": 1, "deeds": [{"deed": "Format", "boot": "x"}]}')
        done = prepared.run("initialize", "--undo")
        assert (done.code, "is not trusted" in done.err) == (69, True)


def test_journal_of_an_earlier_boot_is_not_undone(
    prepared: HostCommands, namespace: Namespace
) -> None:
    prepared.run("initialize")
    journal = prepared.state_dir / "initialize.json"
    data = json.loads(journal.read_text())
    journal.write_text(json.dumps({**data, "deeds": [{**d, "boot": "x"} for d in data["deeds"]]}))
    former = namespace.state()
    assert prepared.run("initialize", "--undo").code == 0
    # The folders are from then as well, and outlive a boot.
    assert (namespace.state(), prepared.state_dir.exists()) == (former, False)


def test_folder_of_somebody_else_is_not_given_away(
    prepared: HostCommands, namespace: Namespace
) -> None:
    prepared.state_dir.mkdir(mode=0o755)
    (prepared.state_dir / "passwd").touch()
    done = prepared.run("initialize")
    assert (done.code, done.out) == (69, "nothing was changed\n")
    assert "'FOLDER/state' cannot be the state directory: 'passwd' is in it" in done.err
    assert prepared.state_dir.stat().st_mode & 0o777 == 0o755
    assert namespace.links() == {}


def test_folder_with_what_is_ours_is_taken(prepared: HostCommands) -> None:
    (prepared.state_dir / "images").mkdir(parents=True)
    (prepared.state_dir / "one").mkdir()
    prepared.state_dir.chmod(0o755)
    assert prepared.run("initialize").code == 0
    assert prepared.state_dir.stat().st_mode & 0o777 == 0o700


def test_reader_that_has_seen_enough_does_not_stop_it(
    prepared: HostCommands, namespace: Namespace
) -> None:
    script = 'exec 3>&1; { "$0" "$@" 2>&3; echo "$?" >&3; } | true'
    argv = [sys.executable, "-m", "launcher.cli.hypervisor", "initialize"]
    done = prepared.execute(["sh", "-c", script, *argv])
    assert done.out == "0\n"
    assert "vllmd-tap2" in namespace.links()
