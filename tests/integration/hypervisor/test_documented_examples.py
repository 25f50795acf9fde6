"""The configuration and the three usage examples that people know, run as they are written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import ROOT
from tests.support.hosts import REFERENCE
from tests.support.hosttree import H100, HostTree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.preparing import HostCommands

CUSTOM = """\
export VLLMD_HYPERVISOR_CONFIG=$HOME/my-custom-config.toml
./precheck-vllmd-hypervisor.sh
"""
INSTALL = """\
export VLLMD_HYPERVISOR_DRY_RUN=true
./install-vllmd-hypervisor-systemd.sh
"""
PAGES = """\
export VLLMD_HUGEPAGES_SIZE=1G
./initialize-vllmd-hypervisor.sh
"""


def run(host: HostCommands, script: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script in the folder of ours, where the file is at its default place."""
    environ = {**host.environ(), **env}
    del environ["VLLMD_HYPERVISOR_CONFIG"], environ["VLLMD_SYSTEMD_DIR"]
    return subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=f"{ROOT}/scripts",
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def example(host: HostCommands) -> HostCommands:
    folder = host.folder / "home/.config/vllmd"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(REFERENCE)
    return host


@pytest.fixture(params=["installed", "source"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Return a PATH with `vllmd-hypervisor` on it, and one without."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("dirname", "sh"):
        (programs / name).symlink_to(shutil.which(name) or "")
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    if request.param == "installed":
        installed = programs / "vllmd-hypervisor"
        installed.write_text('#!/bin/sh\nexec python3 -m launcher.cli.hypervisor "$@"\n')
        installed.chmod(0o755)
    return {"PATH": str(programs), "PYTHONPATH": ROOT if request.param == "installed" else ""}


def test_custom_file_is_checked(example: HostCommands, where: dict[str, str]) -> None:
    shutil.copy(
        example.folder / "home/.config/vllmd/config.toml",
        example.folder / "home/my-custom-config.toml",
    )
    done = run(example, CUSTOM, where)
    # Whether this machine passes is its own matter; both GPUs of the file were looked for.
    assert done.returncode in {0, 69}, done.stderr
    assert "0000:01:00.0" in done.stdout
    assert "0000:02:00.0" in done.stdout


def test_dry_run_of_the_installation(example: HostCommands, where: dict[str, str]) -> None:
    done = run(example, INSTALL, where)
    assert (done.returncode, done.stderr) == (0, "")
    folder = "/etc/systemd/system"
    for number in (1, 2):
        assert f"would write: {folder}/vllmd-runtime@vllm-inference-{number}.service" in done.stdout
    assert "VLLMD_HYPERVISOR_CPU_COUNT=16\n" in done.stdout
    assert "VLLMD_HYPERVISOR_MEMORY_CONFIG=size=32G,shared=on,hugepages=on" in done.stdout
    assert "User=sdake\n" in done.stdout


def test_larger_pages(example: HostCommands, where: dict[str, str]) -> None:
    done = run(example, PAGES, {**where, "VLLMD_HYPERVISOR_DRY_RUN": "true"})
    # This machine has neither the user nor the GPUs: the plan comes with what is missing. There
    # may well be something else at the address.
    assert done.returncode == 69
    assert "no user 'sdake'" in done.stderr
    assert "0000:01:00.0" in done.stderr + done.stdout


def test_larger_pages_on_a_host_that_has_all_of_it(networked: HostCommands, tmp_path: Path) -> None:
    tree = HostTree(tmp_path / "machine")
    for number in (1, 2):
        tree.add_pci(f"0000:0{number}:00.0", H100, driver="nvidia", group=str(number))
    tree.write("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", 0)
    (tree.root / "sys/bus/pci/drivers/vfio-pci").mkdir(parents=True)
    (tmp_path / "host.toml").write_text(REFERENCE.replace("/home/sdake", str(tmp_path)))
    done = networked.execute(
        [sys.executable, f"{ROOT}/tests/programs/plan_tree.py", str(tree.root)],
        {
            "VLLMD_HUGEPAGES_SIZE": "1G",
            # Of this machine, not of the example.
            "VLLMD_SYSTEMD_USER": str(os.geteuid()),
            "VLLMD_HOST_INTERFACE": "lo",
        },
    )
    assert (done.code, done.err) == (0, "")
    for line in (
        "would add 96 huge pages of 1G\n",
        "would create the bridge 'vllmd-br0'\n",
        "would bind 0000:01:00.0 from 'nvidia' to 'vfio-pci'\n",
        "would bind 0000:02:00.0 from 'nvidia' to 'vfio-pci'\n",
    ):
        assert line in done.out
