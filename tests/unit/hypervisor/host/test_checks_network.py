"""The checks of `precheck`: the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.record import replace
from tests.support.hosts import (
    TWO_RUNTIMES,
    add_interface,
    found,
    outcome,
    survey,
)

if TYPE_CHECKING:
    from tests.support.hosttree import HostTree


def test_network_is_not_checked_where_the_variable_says_so(tree: HostTree) -> None:
    for name in ("bridge vllmd-br0", "interface", "taps"):
        finding = found(tree, name, settings={"skip_network": True})
        assert (finding.status, finding.seen) == ("skip", "VLLMD_DISABLE_NETWORK says so")


def test_bridge_that_is_there_is_shown_with_its_ports(tree: HostTree) -> None:
    assert found(tree, "bridge vllmd-br0").seen == "there, with vllmd-tap1, vllmd-tap2"


def test_interface_in_the_place_of_the_bridge_fails(tree: HostTree) -> None:
    (tree.root / "sys/class/net/vllmd-br0/bridge").rmdir()
    finding = found(tree, "bridge vllmd-br0")
    assert finding.seen == "an interface of this name is there, and is no bridge"


def test_interface_that_is_missing_fails(tree: HostTree) -> None:
    text = TWO_RUNTIMES + '[network]\ndefault_interface = "eth9"\n'
    finding = found(tree, "interface eth9", text)
    assert (finding.status, finding.seen) == (
        "fail",
        "there is no such interface; there are eno1, vllmd-br0, vllmd-tap1, vllmd-tap2",
    )


def test_interface_that_is_down_is_a_warning(tree: HostTree) -> None:
    add_interface(tree, "eno2", "down")
    text = TWO_RUNTIMES + '[network]\ndefault_interface = "eno2"\n'
    assert outcome(found(tree, "interface eno2", text)) == (
        "warn", "down", "sudo ip link set eno2 up",
    )  # fmt: skip


def test_wireless_interface_cannot_join_the_bridge(tree: HostTree) -> None:
    add_interface(tree, "wlan0")
    (tree.root / "sys/class/net/wlan0/wireless").mkdir()
    text = TWO_RUNTIMES + '[network]\ndefault_interface = "wlan0"\njoin = true\n'
    assert found(tree, "interface wlan0", text).status == "fail"


def test_interface_without_a_route_is_the_first_card_that_is_up(tree: HostTree) -> None:
    (tree.root / "proc/net/route").unlink()
    add_interface(tree, "ens9")
    tree.write("sys/class/net/eno1/operstate", "down")
    assert found(tree, "interface ens9").seen == "up, the first active one"


def test_machine_without_an_active_interface_is_warned(tree: HostTree) -> None:
    (tree.root / "proc/net/route").unlink()
    tree.write("sys/class/net/eno1/operstate", "down")
    assert found(tree, "interface").seen == "no interface is active"


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("", "sudo vllmd-hypervisor initialize"),
        ("/root/.config/vllmd/config.toml", "sudo vllmd-hypervisor initialize"),
        ("/a b", "sudo VLLMD_HYPERVISOR_CONFIG='/a b' vllmd-hypervisor initialize"),
    ],
)
def test_command_by_sudo_reads_the_same_file(tree: HostTree, path: str, command: str) -> None:
    wanted = survey(tree, TWO_RUNTIMES)
    assert replace(wanted, config=replace(wanted.config, path=path)).prepare() == command
