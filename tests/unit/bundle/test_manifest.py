"""The channels of a manifest become the bundle's; nothing else changes."""

from __future__ import annotations

import pytest
import tomli

from launcher.bundle.manifest import ManifestError, render_manifest, set_channels
from launcher.bundle.model import CONDA, PYPI, Package

OURS = 'channels = ["./channel"]'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '[workspace]\nchannels = ["conda-forge"]  # x\nname = "a"\n',
            f'[workspace]\n{OURS}  # x\nname = "a"\n',
        ),
        (
            "[project]\nchannels = [\n  \"a]\",  # ]\n  'b',\n]\n[x]\n",
            f"[project]\n{OURS}\n[x]\n",
        ),
        (
            '[workspace]\nchannels = [{ channel = "x", priority = 1 }]\n',
            f"[workspace]\n{OURS}\n",
        ),
        ('[workspace]\nname = "a"\n', f'[workspace]\n{OURS}\nname = "a"\n'),
        ("[workspace]", f"[workspace]\n{OURS}\n"),
        (
            '[workspace]\nchannels = []\n[feature.a]\nchannels = ["b"]\n[feature.b.tasks]\n',
            f"[workspace]\n{OURS}\n[feature.a]\n{OURS}\n[feature.b.tasks]\n",
        ),
        ('workspace.channels = ["a"]\n', f"workspace.{OURS}\n"),
        ('workspace = { channels = ["a"] }\n', f"workspace = {{ {OURS} }}\n"),
        ('[workspace]\r\nchannels = ["a"]\r\n', f"[workspace]\n{OURS}\n"),
    ],
)
def test_channels_are_set(before: str, after: str) -> None:
    assert set_channels(before, "pixi.toml") == after


def test_channels_of_a_pyproject_are_set() -> None:
    text = '[project]\nname = "x"\n[tool.pixi.workspace]\nchannels = ["conda-forge"]\n'
    changed = tomli.loads(set_channels(text, "pyproject.toml"))
    assert changed["tool"]["pixi"]["workspace"]["channels"] == ["./channel"]
    assert changed["project"] == {"name": "x"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[workspace\n", "it is not TOML"),
        ("[other]\n", r"it has no \[workspace\]"),
        ("workspace = 1\n", r"it has no \[workspace\]"),
        ('workspace = { name = "a" }\n', "cannot be changed"),
    ],
)
def test_manifest_that_cannot_be_used_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        set_channels(text, "pixi.toml")


def test_made_manifest_names_exactly_the_packages() -> None:
    python = Package(kind=CONDA, name="python", version="3.12", build="h_0", file="channel/x")
    wheel = Package(kind=PYPI, name="vllm", version="0.32.0", file="pypi/x")
    data = tomli.loads(render_manifest((wheel, python), ("gpu",), "linux-64"))
    assert data["workspace"]["channels"] == ["./channel"]
    assert data["dependencies"] == {"python": {"version": "==3.12", "build": "h_0"}}
    assert data["pypi-dependencies"] == {"vllm": "==0.32.0"}
    assert data["pypi-options"]["no-index"] is True
    assert data["environments"] == {"gpu": []}
