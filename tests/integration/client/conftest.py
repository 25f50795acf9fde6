"""What the client's tests get: a batch's two files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.api_stub import Batch
from tests.support.require import require_module

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _httpx() -> None:
    require_module("integration", "httpx")


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """Return files in the test's folder."""
    return Batch(tmp_path)
