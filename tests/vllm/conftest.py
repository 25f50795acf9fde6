"""What the suite with a real vLLM needs: an interpreter that has it, and the demo model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.demo.writer import write_demo_model
from tests.support.require import require_vllm_python

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def vllm_python() -> str:
    """Return an interpreter that has vLLM."""
    return require_vllm_python("vllm")


@pytest.fixture(scope="session")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a demo model."""
    directory = tmp_path_factory.mktemp("model")
    write_demo_model(str(directory))
    return directory
