from __future__ import annotations

import json

import pytest

from launcher.hypervisor.inside.network import BUSYBOX, plan_network

ETH0 = {"eth0": "52:54:00:aa:bb:cc"}


def commands(config: object, devices: dict[str, str] = ETH0) -> list[str]:
    data = None if config is None else json.dumps(config).encode()
    plan = plan_network(data, devices)
    return [" ".join(words).removeprefix(f"{BUSYBOX} ") for words in plan.commands]


def test_guest_without_network_config_takes_qemus_own_addresses() -> None:
    assert commands(None) == [
        "ip link set lo up",
        "ip link set eth0 up",
        "ip address add 10.0.2.15/24 dev eth0",
        "ip route add default via 10.0.2.2",
    ]


def test_guest_without_a_device_has_the_loopback_only() -> None:
    assert commands(None, {}) == ["ip link set lo up"]


def test_device_is_found_by_its_mac_address_in_any_case() -> None:
    settings = {"match": {"macaddress": "52:54:00:AA:BB:CC"}, "addresses": ["10.1.0.2/24"]}
    assert commands({"ethernets": {"vllmd0": settings}})[1:] == [
        "ip link set eth0 up",
        "ip address add 10.1.0.2/24 dev eth0",
    ]


def test_gateway_is_set_once_after_the_first_address() -> None:
    settings = {
        "addresses": ["10.1.0.2/24", "10.2.0.2/24"],
        "routes": [{"to": "0.0.0.0/0", "via": "10.1.0.1"}],
    }
    assert commands({"ethernets": {"eth0": settings}})[2:] == [
        "ip address add 10.1.0.2/24 dev eth0",
        "ip route add default via 10.1.0.1",
        "ip address add 10.2.0.2/24 dev eth0",
    ]


def test_dhcp_is_asked_where_it_is_wanted() -> None:
    found = commands({"ethernets": {"eth0": {"dhcp4": True}}})
    assert found[2].startswith("udhcpc -n -t 5 -i eth0")


def test_nameservers_are_collected() -> None:
    config = {"ethernets": {"eth0": {"nameservers": {"addresses": ["9.9.9.9"]}}}}
    assert plan_network(json.dumps(config).encode(), ETH0).nameservers == ("9.9.9.9",)


def test_config_without_devices_sets_none_up() -> None:
    assert commands({"version": 2, "ethernets": {}}) == ["ip link set lo up"]


@pytest.mark.parametrize("text", [b"network:\n  version: 2\n", b"[]", b"\xff"])
def test_config_that_is_not_ours_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        plan_network(text, ETH0)
