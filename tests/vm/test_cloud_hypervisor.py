"""The genuine Cloud Hypervisor, held to what its fake is held to in tests/integration/vmm."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from launcher.hypervisor.kvm import probe_kvm
from tests.support.hypervisor import Host, RealHost
from tests.support.vmm_behaviour import VmmBehaviour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.hypervisor.guest.manifest import ImageManifest

# Not promised by REQUIRE: neither Debian nor PyPI has it, and it needs a KVM that works.
MISSING = (
    "'cloud-hypervisor' is not on PATH"
    if shutil.which("cloud-hypervisor") is None
    else probe_kvm().reason
)


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
class TestCloudHypervisor(VmmBehaviour):
    """Guests with a kernel of their own."""

    @pytest.fixture
    def host(self, image: ImageManifest) -> Iterator[Host]:
        """Return where the guests run."""
        host = RealHost(image)
        yield host
        host.clean()
