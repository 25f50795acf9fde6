"""Versions of Cloud Hypervisor, as it writes them itself. Pure."""

from __future__ import annotations

import re

OLDEST = (40, 0)
PATTERN = re.compile(r"v?(\d{1,4})\.(\d{1,4})")


def parse_version(text: str) -> tuple[int, int] | None:
    """Return major and minor of `v53.0.0` or `cloud-hypervisor v53.0-12-gabc`, if any."""
    match = PATTERN.search(text)
    return (int(match[1]), int(match[2])) if match else None


def clean_version(text: str) -> str:
    """Return the version alone, as `53.0.0`."""
    words = text.split()
    return words[-1].removeprefix("v") if words else ""
