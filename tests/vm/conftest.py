"""What every test with a guest gets: an image, and guests that never outlive the test."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from launcher.hypervisor.kvm import probe_kvm
from tests.support.guest_images import STUB_OPTIONS, build_image, require_tools
from tests.support.guests import Guest, stub_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.hypervisor.guest.manifest import ImageManifest

WITHOUT_CLOUD_HYPERVISOR = (
    "'cloud-hypervisor' is not on PATH"
    if shutil.which("cloud-hypervisor") is None
    else probe_kvm().reason
)
collect_ignore = ["test_cloud_hypervisor.py"] if WITHOUT_CLOUD_HYPERVISOR else []

# Booting under emulation takes long on a busy machine; the first test also builds the image.
TIMEOUT_S = 2400


def pytest_report_header() -> str:
    """Say what is left out, and why."""
    if not WITHOUT_CLOUD_HYPERVISOR:
        return "vm: the genuine Cloud Hypervisor is tested too"
    return f"vm: {WITHOUT_CLOUD_HYPERVISOR}: its fake alone is tested, in tests/integration/vmm"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test here the time that a guest may take."""
    for item in items:
        if item.path.match("tests/vm/*.py") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(scope="session")
def image() -> ImageManifest:
    """Return a minimal image with stub servers inside: erofs, so any number of guests share it."""
    require_tools()
    return build_image(*STUB_OPTIONS)


@pytest.fixture
def new_guest(image: ImageManifest) -> Iterator[Callable[..., Guest]]:
    """Make guests; whatever is left of them is killed, also after a failed test."""
    guests: list[Guest] = []

    def make(other: str = "", config: str = "", *, of: ImageManifest = image) -> Guest:
        guest = Guest(of, other)
        guest.write_seed(config or stub_config())
        guests.append(guest)
        return guest

    yield make
    for guest in guests:
        guest.clean()


@pytest.fixture
def guest(new_guest: Callable[..., Guest]) -> Guest:
    """Return a guest with one stub server 'a' on its port 8000, not started yet."""
    return new_guest()
