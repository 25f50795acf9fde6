"""The examples of the variables' reference, as a user types them; dry where they need hardware."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hosts import REFERENCE

SCRIPTS = Path(__file__).parents[3] / "scripts"
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a HOME with the reference's file in its place, and as a custom one."""
    (tmp_path / ".config/vllmd").mkdir(parents=True)
    for name in (".config/vllmd/config.toml", "my-custom-config.toml"):
        (tmp_path / name).write_text(REFERENCE)
    return tmp_path


def shell(home: Path, script: str) -> Done:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", script], cwd=SCRIPTS, env={"HOME": str(home), "PATH": path},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def contents(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def test_custom_file_is_checked(home: Path) -> None:
    done = shell(
        home,
        "export VLLMD_HYPERVISOR_CONFIG=$HOME/my-custom-config.toml\n"
        "./precheck-vllmd-hypervisor.sh --json",
    )
    shown = json.loads(done.stdout)
    names = {row["name"] for row in shown["checks"]}
    assert done.returncode == (69 if shown["counts"]["fail"] else 0)
    assert {"kvm", "files vllm-inference-1", "files vllm-inference-2"} <= names


def test_dry_run_of_the_installation_shows_units_and_writes_nothing(home: Path) -> None:
    before = contents(home)
    done = shell(
        home,
        "export VLLMD_HYPERVISOR_DRY_RUN=true\n./install-vllmd-hypervisor-systemd.sh",
    )
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("vllm-inference-1", "vllm-inference-2"):
        unit = f"would write: /etc/systemd/system/vllmd-runtime@{name}.service"
        assert unit in done.stdout.splitlines()
    assert "    VLLMD_HYPERVISOR_CPU_COUNT=16" in done.stdout.splitlines()
    assert contents(home) == before
    assert not Path("/etc/systemd/system/vllmd-runtime@vllm-inference-1.service").exists()


def test_huge_pages_of_1g_are_planned(home: Path) -> None:
    before = contents(home)
    done = shell(
        home,
        "export VLLMD_HYPERVISOR_DRY_RUN=true\n"
        "export VLLMD_HUGEPAGES_SIZE=1G\n./initialize-vllmd-hypervisor.sh",
    )
    # The file is for a machine with two GPUs and a user of its own: that is told, too. So is a
    # CPU that has no pages of this size.
    assert done.returncode in {0, 69}
    assert " huge pages of 1G" in done.stdout + done.stderr
    assert "bug" not in done.stderr
    assert contents(home) == before


def test_seed_disks_are_planned(home: Path) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh/id_rsa.pub").write_text("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDf ada@host\n")
    done = shell(home, "VLLMD_HYPERVISOR_DRY_RUN=true ./generate-init-vllmd-hypervisor.sh")
    assert done.returncode == 0
    assert "there is no system image" in done.stderr  # nothing is downloaded
    assert done.stdout.count("would write: ") == 2
    assert '"local-hostname": "vllm-inference-2"' in done.stdout
