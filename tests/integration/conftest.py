"""What every integration test gets: a launcher whose processes never outlive the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.launching import Launcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    """Run things in `tmp_path`; whatever is left is killed, also after a failed test."""
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.clean()
