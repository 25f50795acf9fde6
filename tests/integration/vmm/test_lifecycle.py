"""Start, stop and status, with each backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.vmm_behaviour import VmmBehaviour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hypervisor import Host


class TestFakeCloudHypervisor(VmmBehaviour):
    """The same as with the real one, which needs KVM: tests/vm/test_cloud_hypervisor.py."""

    @pytest.fixture
    def host(self, fake: Host) -> Iterator[Host]:
        """Hold every request against the official description of the API, where it is there."""
        yield fake
        assert fake.broken() == ""


class TestQemu(VmmBehaviour):
    """The real one, emulating a guest of a hundred bytes."""

    @pytest.fixture
    def host(self, qemu: Host) -> Host:
        """Return where the guests run."""
        return qemu
