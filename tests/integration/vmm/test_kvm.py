"""Whether KVM works: by a few instructions, and by QEMU's own firmware."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launcher.hypervisor.kvm import open_kvm, probe_kvm
from launcher.hypervisor.trial import Proof, try_firmware
from tests.support.require import require_program

if TYPE_CHECKING:
    from pathlib import Path


def test_probe_ends_and_says_why_not() -> None:
    began = time.monotonic()
    found = probe_kvm()
    assert time.monotonic() - began < 30
    assert found.works or found.reason
    assert not found.works or open_kvm().works


def test_firmware_runs_emulated() -> None:
    program = require_program("integration", "qemu-system-x86_64")
    assert try_firmware(program, "tcg", "max", 60) == ""


def test_firmware_that_cannot_run_says_why() -> None:
    program = require_program("integration", "qemu-system-x86_64")
    found = try_firmware(program, "tcg", "no-such-cpu", 60)
    assert found.startswith("QEMU fails with it: ")
    assert "no-such-cpu" in found


def test_firmware_that_says_nothing_hangs(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text("#!/bin/sh\nexec sleep 100\n")
    program.chmod(0o755)
    assert try_firmware(str(program), "kvm", "host", 0.5) == "a guest in KVM hangs"


def test_proof_holds_until_the_program_changes(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text("")
    proof = Proof(str(tmp_path), str(program))
    assert not proof.holds()
    proof.keep()
    assert Proof(str(tmp_path), str(program)).holds()
    program.write_text("new")
    assert not Proof(str(tmp_path), str(program)).holds()


def test_proof_that_cannot_be_kept_is_no_error(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text("")
    Proof("/nowhere", str(program)).keep()
