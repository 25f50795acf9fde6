"""Hosts for tests: with a network of their own, or without any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.netns import Namespace
from tests.support.preparing import HostCommands

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Each of these starts a dozen processes: generous, for a busy machine.
TIMEOUT_S = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test here the time that its processes may take."""
    for item in items:
        is_ours = item.path.match("integration/hypervisor/*.py")
        if is_ours and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


def _namespace() -> Iterator[Namespace]:
    found = Namespace()
    yield found
    found.close()


namespace = pytest.fixture(_namespace, name="namespace")
world = pytest.fixture(_namespace, name="world")
guest = pytest.fixture(_namespace, name="guest")


@pytest.fixture
def host(tmp_path: Path) -> HostCommands:
    (tmp_path / "home").mkdir()
    return HostCommands(tmp_path)


@pytest.fixture
def networked(tmp_path: Path, namespace: Namespace) -> HostCommands:
    (tmp_path / "home").mkdir()
    return HostCommands(tmp_path, namespace)
