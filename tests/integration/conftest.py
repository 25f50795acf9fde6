"""What every integration test gets: a launcher whose processes never outlive the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands
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


@pytest.fixture
def vllmd(tmp_path: Path) -> Commands:
    """Return the command line in a folder of its own, beside a Python that has vLLM."""
    commands = Commands(tmp_path)
    commands.install_vllm()
    return commands
