"""Hosts that leave nothing behind, also after a failed test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.hypervisor import FAKE_CH, QEMU, Host
from tests.support.require import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator

# Each of these starts a dozen processes: generous, for a busy machine.
TIMEOUT_S = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test here the time that its processes may take."""
    for item in items:
        if item.path.match("integration/vmm/*.py") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture
def qemu() -> Iterator[Host]:
    """Return a host whose guests run in QEMU, emulated."""
    require_program("integration", "qemu-system-x86_64")
    yield from _made(QEMU)


@pytest.fixture
def fake() -> Iterator[Host]:
    """Return a host with a fake Cloud Hypervisor on PATH."""
    yield from _made(FAKE_CH)


def _made(backend: str) -> Iterator[Host]:
    host = Host(backend)
    yield host
    host.clean()
