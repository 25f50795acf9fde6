"""Property tests that give the same result on every run: no random seed, no stored examples."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings

TIMEOUT_S = 300  # ten seconds' work for the slowest: generous, for a busy machine

settings.register_profile(
    "bounded",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=80,
    phases=[Phase.explicit, Phase.generate],  # shrinking may take minutes; add it to look closer
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("bounded")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test here the time that its examples may take."""
    for item in items:
        if item.path.match("tests/fuzz/*.py") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
