from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from launcher.hypervisor.guest.seed import write_seed_image
from launcher.hypervisor.inside.button import EVENT, holds_press
from launcher.hypervisor.inside.disk import DESCRIPTOR_AT, label_of, read_seed
from launcher.hypervisor.inside.entrypoint import control_socket_of

if TYPE_CHECKING:
    from pathlib import Path


def event(kind: int, code: int, value: int) -> bytes:
    return EVENT.pack(0, 0, kind, code, value)


def test_press_of_the_power_key_is_seen_among_other_events() -> None:
    assert holds_press(event(0, 0, 0) + event(1, 116, 1))


def test_release_and_other_keys_are_no_press() -> None:
    assert not holds_press(event(1, 116, 0) + event(1, 30, 1))


def test_half_an_event_is_no_press() -> None:
    assert not holds_press(event(1, 116, 1)[:-1])


def test_label_of_a_seed_disk_is_read(tmp_path: Path) -> None:
    path = tmp_path / "seed.img"
    write_seed_image(str(path), {"vllm.toml": b""})
    assert label_of(path.read_bytes()[DESCRIPTOR_AT : DESCRIPTOR_AT + 2048]) == "CIDATA"


def test_disk_that_is_no_iso9660_has_no_label() -> None:
    assert label_of(struct.pack("2048x")) == ""
    assert label_of(b"") == ""


def test_seed_tells_the_entrypoint_its_file_and_overrides(tmp_path: Path) -> None:
    (tmp_path / "vllm.toml").write_text("")
    (tmp_path / "overrides.json").write_text('{"a": 1}')
    assert read_seed(str(tmp_path)).environment == {
        "AUTO_INFER_VLLM_CONFIG": str(tmp_path / "vllm.toml"),
        "AUTO_INFER_VLLM_OVERRIDES": '{"a": 1}',
    }


def test_seed_without_our_files_tells_nothing(tmp_path: Path) -> None:
    seed = read_seed(str(tmp_path))
    assert (dict(seed.environment), seed.network_config) == ({}, None)


def test_control_socket_of_the_overrides_wins(tmp_path: Path) -> None:
    path = tmp_path / "vllm.toml"
    path.write_text('[master]\ncontrol_socket = "/run/a.sock"\n')
    assert control_socket_of(str(path), "") == "/run/a.sock"
    overrides = '{"master": {"control_socket": "/run/b.sock"}}'
    assert control_socket_of(str(path), overrides) == "/run/b.sock"


def test_control_socket_of_a_broken_file_is_the_usual_one(tmp_path: Path) -> None:
    path = tmp_path / "vllm.toml"
    path.write_text("[master")
    assert control_socket_of(str(path), "") == ""
