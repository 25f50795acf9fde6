"""What the suite with a real vLLM needs: an interpreter that has it, and the demo model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from launcher.demo.writer import write_demo_model
from tests.support.require import require

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "VLLMD_TEST_VLLM_PYTHON"


@pytest.fixture(scope="session")
def vllm_python() -> str:
    """Return an interpreter that has vLLM."""
    python = os.environ.get(VARIABLE, "")
    reason = f"{VARIABLE} names no Python with vLLM ('make vllm' installs one)"
    require("vllm", reason, present=bool(python) and os.access(python, os.X_OK))
    return python


@pytest.fixture(scope="session")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a demo model."""
    directory = tmp_path_factory.mktemp("model")
    write_demo_model(str(directory))
    return directory
