"""The genuine Cloud Hypervisor, held to what its fake is held to in tests/integration/vmm.

Collected only where the binary is on PATH and KVM works (`conftest.py` says so): no package of
Debian or PyPI has it, so that no machine can promise to run this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.hypervisor import Host, RealHost
from tests.support.vmm_behaviour import VmmBehaviour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.hypervisor.guest.manifest import ImageManifest


class TestCloudHypervisor(VmmBehaviour):
    """Guests with a kernel of their own."""

    @pytest.fixture
    def host(self, image: ImageManifest) -> Iterator[Host]:
        """Return where the guests run."""
        host = RealHost(image)
        yield host
        host.clean()
