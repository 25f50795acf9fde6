"""Cloud Hypervisor's words: the VmConfig, its answers, its events, its versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from launcher.hypervisor.backend import Event, VmmRefusalError, VmmSilentError
from launcher.hypervisor.cloudhypervisor.answers import (
    CloudHypervisorEvents,
    NotCreatedError,
    read_causes,
    read_state,
    refuse,
)
from launcher.hypervisor.cloudhypervisor.payload import (
    find_cloud_hypervisor_gaps,
    plan_cloud_hypervisor,
    plan_config,
)
from launcher.hypervisor.cloudhypervisor.versions import clean_version, parse_version
from launcher.hypervisor.model import Disk, Memory, Network, PublishedPort
from launcher.record import replace
from tests.programs.fake_cloud_hypervisor import Schema
from tests.support.guest_specs import RUNDIR, SPEC
from tests.support.hypervisor import OPENAPI

if TYPE_CHECKING:
    from launcher.hypervisor.model import VmSpec

RUN = "/run/vllmd-hypervisor/chat"
FULL = replace(
    SPEC,
    memory=Memory(
        size=1 << 30,
        shared=True,
        hugepages=True,
        hugepage_size=2 << 20,
        prefault=True,
        hotplug_method="virtio-mem",
        hotplug_size=2 << 30,
        hotplugged_size=1 << 30,
    ),
    system_image=Disk(path="/s.qcow2", format="qcow2"),
    network=Network(kind="tap", tap="tap0", mac="52:54:00:00:00:01"),
    devices=("/sys/bus/pci/devices/0000:01:00.0",),
)

described = pytest.mark.skipif(
    not OPENAPI.exists(),
    reason="CLOUD_HYPERVISOR_OPENAPI does not name the OpenAPI file of Cloud Hypervisor",
)


def test_config_is_whole() -> None:
    assert plan_config(SPEC, RUNDIR) == {
        "payload": {"kernel": "/k", "initramfs": "/i", "cmdline": "console=ttyS0"},
        "cpus": {"boot_vcpus": 4, "max_vcpus": 4, "nested": False},
        "memory": {
            "size": 16 << 30, "mergeable": False, "shared": True, "hugepages": False,
            "prefault": False, "reserve": False, "thp": True, "hotplug_method": "Acpi",
        },
        "disks": [
            {"id": "system", "serial": "system", "path": "/s.img", "readonly": False,
             "image_type": "Raw"},
            {"id": "config", "serial": "config", "path": "/c.img", "readonly": True,
             "image_type": "Raw"},
        ],
        "rng": {"src": "/dev/urandom"},
        "serial": {"mode": "Socket", "socket": f"{RUN}/console.sock"},
        "console": {"mode": "Off"},
        "vsock": {"cid": 3, "socket": f"{RUN}/vsock.sock", "id": "vsock"},
        "pvpanic": True,
    }  # fmt: skip


@described
@pytest.mark.parametrize("spec", [SPEC, FULL, replace(SPEC, firmware=True)])
def test_config_obeys_the_official_description(spec: VmSpec) -> None:
    body = json.dumps(plan_config(spec, RUNDIR)).encode()
    assert Schema(str(OPENAPI)).find_fault("PUT", "vm.create", body) == ""


@described
def test_description_shows_a_typo() -> None:
    config: dict[str, Any] = plan_config(SPEC, RUNDIR)
    config["memory"]["hugepage"] = True
    fault = Schema(str(OPENAPI)).find_fault("PUT", "vm.create", json.dumps(config).encode())
    assert "hugepage" in fault


def test_config_names_taps_and_devices() -> None:
    config = plan_config(FULL, RUNDIR)
    assert config["net"] == [{"id": "net", "tap": "tap0", "mac": "52:54:00:00:00:01"}]
    assert config["devices"] == [{"path": "/sys/bus/pci/devices/0000:01:00.0", "id": "device0"}]
    assert config["disks"][0]["image_type"] == "Qcow2"
    assert config["memory"]["hotplug_method"] == "VirtioMem"


def test_config_of_firmware_has_no_command_line() -> None:
    assert plan_config(replace(SPEC, firmware=True), RUNDIR)["payload"] == {"kernel": "/k"}


def test_command_line_says_where_to_be_reached() -> None:
    launch = plan_cloud_hypervisor(replace(SPEC, log_level="DEBUG"), RUNDIR, "/c")
    assert launch.argv == (
        "/c", "--api-socket", f"path={RUN}/api.sock", "--event-monitor", f"path={RUN}/events",
        "--seccomp", "true", "-v",
    )  # fmt: skip
    assert launch.report == "vsock.sock_9110"


@pytest.mark.parametrize(
    ("changes", "version", "name"),
    [
        ({}, "39.2.0", "BACKEND"),
        ({"memory": Memory(size=1 << 30, reserve=True)}, "52.0.0", "MEMORY_CONFIG"),
        ({"network": Network(kind="user")}, "53.0.0", "NET"),
        ({"network": Network(kind="none", publish=(
            PublishedPort(host="h", host_port=1, guest_port=2),))}, "53.0.0", "PUBLISH"),
    ],
)  # fmt: skip
def test_gaps_of_a_version_are_told(changes: dict[str, object], version: str, name: str) -> None:
    assert [gap[0] for gap in find_cloud_hypervisor_gaps(replace(SPEC, **changes), version)] == [
        name
    ]


def test_gaps_of_an_unknown_version_are_none() -> None:
    reserve = replace(SPEC, memory=Memory(size=1 << 30, reserve=True), network=Network(kind="none"))
    assert find_cloud_hypervisor_gaps(reserve, "") == []
    assert find_cloud_hypervisor_gaps(reserve, "53.0.0") == []


@pytest.mark.parametrize(
    ("body", "causes"),
    [
        (b'["Error from API", "The VM could not boot", "no kernel"]',
         ["Error from API", "The VM could not boot", "no kernel"]),
        (b"Error from API: no kernel", ["Error from API: no kernel"]),
        (b'{ "error": "Invalid\nrequest" }', ["Invalid request"]),
        (b"", []),
        (b"\xff\xfe", ["\ufffd\ufffd"]),
        (b"[]", []),
    ],
)  # fmt: skip
def test_causes_are_read_in_each_shape(body: bytes, causes: list[str]) -> None:
    assert read_causes(body) == causes


@pytest.mark.parametrize("status", [404, 500])
def test_refusal_of_what_is_not_created_is_known_by_its_words(status: int) -> None:
    assert isinstance(refuse(status, b'["Error from API", "VM is not created"]'), NotCreatedError)
    assert not isinstance(refuse(status, b'["Not found"]'), NotCreatedError)


def test_refusal_says_what_mends_it() -> None:
    error = refuse(500, b'["The VM could not boot", "VfioDmaMap", "Cannot allocate memory"]')
    assert isinstance(error, VmmRefusalError)
    assert error.message == "cloud-hypervisor: Cannot allocate memory"
    assert "LimitMEMLOCK" in error.hint


def test_state_has_our_word() -> None:
    states = [read_state({"state": word}) for word in ("Running", "Paused", "Created", "Odd")]
    assert states == ["running", "paused", "created", "odd"]


def test_events_are_whole_wherever_the_stream_is_cut() -> None:
    words = [("vm", "booted"), ("vm", "rebooted"), ("guest", "panic"), ("vm", "shutdown")]
    stream = b"".join(
        json.dumps({"source": source, "event": event}, indent=2).encode() + b"\n\n"
        for source, event in words
    )
    for at in range(len(stream)):
        events = CloudHypervisorEvents()
        kinds = [each.kind for each in events.feed(stream[:at]) + events.feed(stream[at:])]
        assert kinds == ["reboot", "panic", "powered off"]


def test_events_that_are_none_are_told_once() -> None:
    events = CloudHypervisorEvents()
    with pytest.raises(VmmSilentError):
        events.feed(b"hello")
    assert events.feed(b'{"source": "vm", "event": "rebooted"}') == [Event(kind="reboot")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("v53.0.0", (53, 0)), ("cloud-hypervisor v50.2-3-gabc", (50, 2)), ("", None), ("v", None)],
)
def test_version_is_parsed(text: str, expected: tuple[int, int] | None) -> None:
    assert parse_version(text) == expected


def test_version_is_the_last_word() -> None:
    assert clean_version("cloud-hypervisor v53.0.0\n") == "53.0.0"
    assert clean_version("") == ""
