"""`vllmd-hypervisor` where the packages of its extra were not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from launcher.errors import EX_UNAVAILABLE

WITHOUT = """\
import sys
sys.modules[sys.argv[1]] = None
from launcher.cli.hypervisor.main import main
raise SystemExit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("pycdlib", ("generate-init", "--dry-run")),
        ("pycdlib", ("start", "--config", "vllm.toml")),
        ("pyroute2", ("initialize", "--dry-run")),
    ],
)
def test_command_without_its_package_says_how_to_install_it(
    package: str, words: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == EX_UNAVAILABLE
    assert done.stderr == (
        f"error: the Python package '{package}' is not installed\n"
        "hint: install it with: pip install 'vllmd[hypervisor]'\n"
    )


def test_source_tree_without_its_packages_says_how_to_install_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "tomli", "precheck"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr.splitlines()[1:]) == (
        EX_UNAVAILABLE,
        ["hint: install it with: pip install 'vllmd'"],
    )
