"""A host on which everything is fine, for one thing to be broken on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.hosts import intel_with_two_h100
from tests.support.hosttree import HostTree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> HostTree:
    return intel_with_two_h100(HostTree(tmp_path))
