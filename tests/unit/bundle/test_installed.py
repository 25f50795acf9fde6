"""The record of an installation is read as it was written, or not at all."""

from __future__ import annotations

import pytest

from launcher.bundle.installed import (
    Installed,
    InstalledPackage,
    Source,
    parse_installed,
    render_installed,
)

INSTALLED = Installed(
    root="/app",
    source=Source(path="/b.tar", sha256="aa", size=3, changed_ns=4),
    environments=("default",),
    by="pixi 0.77.0",
    manifest_origin="bundle",
    packages=(
        InstalledPackage(
            environment="default",
            kind="conda",
            name="python",
            version="3.12",
            build="h_0",
            file="channel/linux-64/python-3.12-h_0.conda",
            sha256="aa",
        ),
    ),
)


def test_record_is_read_as_it_was_written() -> None:
    assert parse_installed(render_installed(INSTALLED)) == INSTALLED


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2}', render_installed(INSTALLED).replace('"root"', '"toor"')],
)
def test_anything_else_is_no_record(text: str) -> None:
    assert parse_installed(text) is None
