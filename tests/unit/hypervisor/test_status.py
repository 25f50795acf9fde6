"""What is written down about a guest, and what is shown of it."""

from __future__ import annotations

import json

import pytest

from launcher.hypervisor.identity import Identity
from launcher.hypervisor.report import GuestInstance, GuestReport
from launcher.hypervisor.state import GuestState, parse_state, render_state
from launcher.hypervisor.status import (
    GuestStatus,
    exit_code,
    render_json,
    render_span,
    render_status,
)
from launcher.record import replace

US = Identity(pid=7, start=100, boot="b")
STATE = GuestState(
    name="chat", backend="qemu", accelerator="kvm", why="asked for", version="7.2.22",
    supervisor=US, vmm=replace(US, pid=8), started_at=1.5, cpus=4, memory=16 << 30,
    devices=("/sys/bus/pci/devices/0000:01:00.0",), publish=("127.0.0.1:8000:8000",),
    log="/l", reports=True, phase="running", ready_at=2.5,
)  # fmt: skip
STATUS = GuestStatus(
    name="chat",
    state="running",
    guest=STATE,
    supervised=True,
    uptime_s=3700,
    report=GuestReport(
        entrypoint="running",
        instances=(GuestInstance(name="a", state="ready", host="0.0.0.0", port=8000),),  # noqa: S104
    ),
    report_age_s=2,
)


def test_state_comes_back_as_it_was() -> None:
    assert parse_state(render_state(STATE)) == STATE
    starting = replace(STATE, vmm=None)
    assert parse_state(render_state(starting)) == starting


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"v": 2}', b'{"v": 1}', b"\xff", b"null"])
def test_state_of_another_shape_is_none(text: bytes) -> None:
    assert parse_state(text) is None


def test_status_is_shown_in_lines() -> None:
    assert render_status(STATUS).splitlines() == [
        "chat: running",
        "  process  8, up 1 h 1 min",
        "  backend  qemu 7.2.22, kvm: asked for",
        "  size     4 vCPUs, 16384 MiB",
        "  devices  0000:01:00.0",
        "  ports    127.0.0.1:8000:8000",
        "  log      /l",
        "  guest    entrypoint running; 1 of 1 instances ready (2 s ago)",
        "    a: ready, 0.0.0.0:8000",
    ]


def test_status_of_a_stopped_guest_is_a_line() -> None:
    assert render_status(GuestStatus(name="chat", state="stopped")) == "chat: stopped"


def test_status_of_an_instance_on_a_socket_has_no_port() -> None:
    report = GuestReport(entrypoint="running", instances=(GuestInstance(name="a", state="ready"),))
    assert render_status(replace(STATUS, report=report)).splitlines()[-1] == "    a: ready"


def test_status_moves_no_cursor() -> None:
    guest = replace(STATE, why="\x1b[2J", log="/l\nchat: stopped")
    shown = render_status(replace(STATUS, guest=guest))
    assert "\x1b" not in shown
    assert "chat: stopped" not in shown.splitlines()


def test_status_tells_whether_a_report_will_come() -> None:
    silent = replace(STATUS, report=None)
    assert "has not reported yet" in render_status(silent)
    assert "does not report" in render_status(replace(silent, guest=replace(STATE, reports=False)))


def test_status_for_programs_is_one_object() -> None:
    found = json.loads(render_json(STATUS))
    assert found["pid"] == 8
    assert found["supervisor_pid"] == 7
    assert found["guest"]["instances"][0]["port"] == 8000
    assert json.loads(render_json(GuestStatus(name="a", state="stopped"))) == {
        "name": "a",
        "state": "stopped",
        "detail": None,
    }


@pytest.mark.parametrize(
    ("state", "code"),
    [("running", 0), ("stopped", 3), ("starting", 4), ("paused", 4), ("stopping", 4),
     ("unresponsive", 4)],
)  # fmt: skip
def test_exit_code_is_as_of_init_scripts(state: str, code: int) -> None:
    assert exit_code(replace(STATUS, state=state)) == code


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h")],
)
def test_span_is_in_two_units(seconds: float, text: str) -> None:
    assert render_span(seconds) == text
