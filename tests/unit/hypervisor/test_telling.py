"""What VLLMD_HYPERVISOR_LOG_LEVEL lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.cli.hypervisor.telling import Teller, tell_warnings
from launcher.hypervisor.host.loading import load_host

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("level", "told"),
    [("DEBUG", ["detail", "step"]), ("INFO", ["step"]), ("WARN", []), ("ERROR", [])],
)
def test_level_lets_through_what_is_at_or_above_it(
    capsys: Capture, level: str, told: list[str]
) -> None:
    teller = Teller(level=level)
    teller.detail("detail")
    teller.step("step")
    assert capsys.readouterr().out.splitlines() == told


@pytest.mark.parametrize(
    ("level", "told"), [("DEBUG", True), ("INFO", True), ("WARN", True), ("ERROR", False)]
)
def test_warnings_are_told_unless_only_errors_are_wanted(
    tmp_path: Path, capsys: Capture, level: str, *, told: bool
) -> None:
    environ = {"HOME": str(tmp_path), "VLLMD_X": "1", "VLLMD_HYPERVISOR_LOG_LEVEL": level}
    assert tell_warnings(load_host(environ)).level == level
    assert ("VLLMD_X" in capsys.readouterr().err) == told
