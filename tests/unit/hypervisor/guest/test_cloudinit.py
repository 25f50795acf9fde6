from __future__ import annotations

import base64
import json

from launcher.hypervisor.guest.cloudinit import render_seed
from launcher.hypervisor.guest.identity import Identity
from launcher.hypervisor.model import Addressing
from launcher.record import replace

GUEST = Identity(
    name="vllm-inference-1",
    user="sdake",
    mac="52:54:00:00:00:01",
    ssh_keys=("ssh-ed25519 AAAA me",),
    addressing=Addressing(
        address="10.111.0.11/24", gateway="10.111.0.1", nameservers=("192.0.2.53",)
    ),
)
RIDERS = {"vllm.toml": b"[master]\n"}


def user_data(guest: Identity, riders: dict[str, bytes]) -> dict[str, object]:
    head, _, body = render_seed(guest, riders)["user-data"].partition(b"\n")
    assert head == b"#cloud-config"
    data: dict[str, object] = json.loads(body)
    return data


def instance_id(guest: Identity, riders: dict[str, bytes]) -> str:
    return str(json.loads(render_seed(guest, riders)["meta-data"])["instance-id"])


def ethernet(guest: Identity) -> object:
    return json.loads(render_seed(guest, {})["network-config"])["ethernets"]


def test_seed_has_the_files_of_nocloud_and_the_riders() -> None:
    assert list(render_seed(GUEST, RIDERS)) == [
        "user-data", "meta-data", "network-config", "vllm.toml"
    ]  # fmt: skip


def test_user_logs_in_by_key_only() -> None:
    data = user_data(GUEST, {})
    assert data["ssh_pwauth"] is False
    assert data["users"] == [
        {
            "name": "sdake",
            "lock_passwd": True,
            "shell": "/bin/bash",
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": ["ssh-ed25519 AAAA me"],
        }
    ]


def test_root_as_the_user_may_log_in() -> None:
    data = user_data(replace(GUEST, user="root"), {})
    assert data["disable_root"] is False
    assert data["users"] == [
        {"name": "root", "lock_passwd": True, "ssh_authorized_keys": ["ssh-ed25519 AAAA me"]}
    ]


def test_riders_are_written_for_root_only_and_started() -> None:
    data = user_data(GUEST, RIDERS)
    files = data["write_files"]
    assert isinstance(files, list)
    assert [file["path"] for file in files] == ["/etc/vllmd/vllm.toml", "/etc/vllmd/vllmd.service"]
    assert {file["permissions"] for file in files} == {"0600"}
    assert base64.b64decode(files[0]["content"]) == b"[master]\n"
    assert "runcmd" in data


def test_guest_without_riders_starts_nothing() -> None:
    assert not {"write_files", "runcmd"} & user_data(GUEST, {}).keys()


def test_instance_id_stays_while_nothing_changes() -> None:
    assert instance_id(GUEST, RIDERS) == instance_id(GUEST, RIDERS)
    assert instance_id(GUEST, RIDERS).startswith("vllm-inference-1-")


def test_instance_id_differs_when_anything_does() -> None:
    others = [
        instance_id(GUEST, {}),
        instance_id(replace(GUEST, user="other"), RIDERS),
        instance_id(replace(GUEST, ssh_keys=()), RIDERS),
        instance_id(replace(GUEST, mac="52:54:00:00:00:02"), RIDERS),
        instance_id(replace(GUEST, addressing=None), RIDERS),
        instance_id(GUEST, {"vllm.toml": b"[master]\n\n"}),
    ]
    assert len({instance_id(GUEST, RIDERS), *others}) == len(others) + 1


def test_address_is_bound_to_the_mac_of_the_guest() -> None:
    assert ethernet(GUEST) == {
        "vllmd0": {
            "match": {"macaddress": "52:54:00:00:00:01"},
            "dhcp4": False,
            "addresses": ["10.111.0.11/24"],
            "routes": [{"to": "0.0.0.0/0", "via": "10.111.0.1"}],
            "nameservers": {"addresses": ["192.0.2.53"]},
        }
    }


def test_guest_without_an_address_asks_by_dhcp() -> None:
    assert ethernet(replace(GUEST, addressing=Addressing())) == {
        "vllmd0": {"match": {"macaddress": "52:54:00:00:00:01"}, "dhcp4": True}
    }


def test_guest_without_a_network_has_no_device() -> None:
    assert ethernet(replace(GUEST, addressing=None)) == {}
