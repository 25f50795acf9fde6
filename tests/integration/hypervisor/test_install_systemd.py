"""Units: accepted by systemd's own tools, installed and taken away again."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.require import require_program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.preparing import HostCommands

RUNTIMES = """
[[runtimes]]
index = 1
name = "vllm-inference-1"
gpus = ["0000:01:00.0"]
memory_gb = 64
cpus = 16

[[runtimes]]
index = 2
name = "vllm_2"
"""
MOST_EXPOSED = 4.0
REFERENCE_UNIT = """\
[Unit]
Description=VLLMD Runtime %i

[Service]
Slice=vllmd.slice
Type=simple
Environment=VLLMD_HYPERVISOR_LOG_FILEPATH=%h/.local/log/vllmd/%i.log
EnvironmentFile=%h/.config/vllmd/hypervisor-%i.env
ExecStart=@PROGRAM@ start
ExecStop=@PROGRAM@ stop
Restart=on-failure
"""


@pytest.fixture
def prepared(host: HostCommands) -> HostCommands:
    host.write_host(RUNTIMES)
    return host


def units(host: HostCommands) -> list[str]:
    folder = host.folder / "units"
    return sorted(os.listdir(folder)) if folder.exists() else []


def analyze(host: HostCommands, *words: str) -> str:
    """Run systemd-analyze in the folder of the units; return all that it says."""
    program = require_program("integration", "systemd-analyze")
    done = subprocess.run(
        [program, "--no-pager", *words],
        cwd=host.folder / "units",
        env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(host.folder), "HOME": "/"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def exposure(said: str) -> float:
    found = re.search(r"Overall exposure level for .*: ([\d.]+)", said)
    assert found is not None, said
    return float(found[1])


@pytest.mark.parametrize("form", [(), ("--user",)])
def test_units_are_accepted_and_hardened(prepared: HostCommands, form: tuple[str, ...]) -> None:
    assert prepared.run("install-systemd", *form).code == 0
    assert len(units(prepared)) == (2 if form else 3)
    said = analyze(prepared, *form, "verify", *(f"./{name}" for name in units(prepared)))
    # What verify says of units of this machine is not about ours.
    assert not [line for line in said.splitlines() if "vllmd" in line]
    for name in units(prepared):
        score = exposure(analyze(prepared, *form, "security", "--offline=true", name))
        assert score <= MOST_EXPOSED, name


def test_environment_files_are_private(prepared: HostCommands) -> None:
    prepared.run("install-systemd")
    files = sorted((prepared.folder / "config").iterdir())
    assert [file.name for file in files] == [
        "hypervisor-vllm-inference-1.env", "hypervisor-vllm_2.env",
    ]  # fmt: skip
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_second_run_changes_nothing(prepared: HostCommands) -> None:
    prepared.run("install-systemd")
    said = prepared.run("install-systemd").out.splitlines()
    assert {line.split(":")[0] for line in said} == {"unchanged", "next"}


@pytest.mark.parametrize("by_variable", [True, False])
def test_dry_run_shows_and_writes_nothing(prepared: HostCommands, *, by_variable: bool) -> None:
    files = sorted(prepared.folder.iterdir())
    if by_variable:
        done = prepared.run("install-systemd", env={"VLLMD_HYPERVISOR_DRY_RUN": "true"})
    else:
        done = prepared.run("install-systemd", "--dry-run")
    assert done.code == 0
    assert "would write: FOLDER/units/vllmd-runtime@vllm_2.service\n" in done.out
    assert "    VLLMD_HYPERVISOR_NAME=vllm_2\n" in done.out
    assert sorted(prepared.folder.iterdir()) == files


def test_uninstall_takes_away_what_was_installed_only(prepared: HostCommands) -> None:
    prepared.run("install-systemd")
    other = prepared.folder / "units" / "vllmd-runtime@mine.service"
    other.write_text("[Unit]\n")
    done = prepared.run("install-systemd", "--uninstall")
    assert (done.code, done.err) == (0, "")
    assert units(prepared) == [other.name]
    assert list((prepared.folder / "config").iterdir()) == []
    assert prepared.run("install-systemd", "--uninstall").out == "nothing is installed\n"


def test_uninstall_keeps_what_units_of_a_user_read(prepared: HostCommands) -> None:
    of_user = {"VLLMD_SYSTEMD_DIR": ""}  # in the home
    prepared.run("install-systemd", "--user", env=of_user)
    prepared.run("install-systemd")
    done = prepared.run("install-systemd", "--uninstall")
    unit = "FOLDER/home/.config/systemd/user/vllmd-runtime@vllm_2.service"
    assert f"kept: FOLDER/config/hypervisor-vllm_2.env, which '{unit}' reads\n" in done.out
    assert (done.code, units(prepared)) == (0, [])
    assert len(list((prepared.folder / "config").iterdir())) == 2
    assert prepared.run("install-systemd", "--uninstall").out == "nothing is installed\n"
    assert prepared.run("install-systemd", "--user", "--uninstall", env=of_user).code == 0
    assert list((prepared.folder / "config").iterdir()) == []


def test_runtime_that_is_gone_loses_its_unit(prepared: HostCommands) -> None:
    prepared.run("install-systemd")
    prepared.write_host('[[runtimes]]\nindex = 2\nname = "vllm_2"\n')
    assert prepared.run("install-systemd").code == 0
    assert units(prepared) == [
        "vllmd-hypervisor-initialize.service", "vllmd-runtime@vllm_2.service",
    ]  # fmt: skip


def test_unit_of_somebody_else_is_not_replaced(prepared: HostCommands) -> None:
    other = prepared.folder / "units" / "vllmd-runtime@vllm_2.service"
    other.parent.mkdir()
    other.write_text("[Unit]\n")
    done = prepared.run("install-systemd")
    assert (done.code, "was not written by us" in done.err) == (69, True)
    assert (units(prepared), other.read_text()) == ([other.name], "[Unit]\n")


def test_template_of_the_users_own_is_used(prepared: HostCommands, tmp_path: Path) -> None:
    (tmp_path / "own.service").write_text(REFERENCE_UNIT)
    env = {"VLLMD_RUNTIME_TEMPLATE": str(tmp_path / "own.service")}
    assert prepared.run("install-systemd", env=env).code == 0
    text = (tmp_path / "units" / "vllmd-runtime@vllm_2.service").read_text()
    home = "/root" if os.geteuid() == 0 else str(tmp_path / "home")
    assert "ProtectSystem" not in text
    assert f"EnvironmentFile={tmp_path}/home/.config/" in text or home in text


def test_template_with_a_mistake_is_refused(prepared: HostCommands, tmp_path: Path) -> None:
    (tmp_path / "own.service").write_text("ExecStart=@PROGRAMM@ start\n")
    env = {"VLLMD_RUNTIME_TEMPLATE": str(tmp_path / "own.service")}
    done = prepared.run("install-systemd", env=env)
    assert (done.code, units(prepared)) == (78, [])
    assert "'@PROGRAMM@' is no placeholder" in done.err
    assert "did you mean 'PROGRAM'?" in done.err


def test_template_that_is_missing_is_refused(prepared: HostCommands) -> None:
    done = prepared.run("install-systemd", env={"VLLMD_RUNTIME_TEMPLATE": "/none"})
    assert (done.code, done.err.splitlines()[0]) == (
        78,
        "error: VLLMD_RUNTIME_TEMPLATE: '/none' cannot be read: no such file or directory",
    )


def test_user_of_the_services_by_the_variable(prepared: HostCommands) -> None:
    done = prepared.run("install-systemd", env={"VLLMD_SYSTEMD_USER": "nobody"})
    unit = prepared.folder / "units" / "vllmd-runtime@vllm_2.service"
    if os.geteuid() != 0:
        assert (done.code, "only root can install" in done.err) == (69, True)
        return
    assert "User=nobody\n" in unit.read_text()
    assert (prepared.folder / "config" / "hypervisor-vllm_2.env").stat().st_uid == 65534


def test_group_of_kvm_by_the_variable(prepared: HostCommands) -> None:
    done = prepared.run("install-systemd", env={"VLLMD_KVM_GROUP": "no-such-group"})
    assert (done.code, "this host has no group 'no-such-group'" in done.err) == (0, True)
    unit = prepared.folder / "units" / "vllmd-runtime@vllm_2.service"
    assert "SupplementaryGroups=no-such-group\n" in unit.read_text()


def test_state_and_pages_by_the_variables(prepared: HostCommands) -> None:
    env = {"VLLMD_HUGEPAGES_SIZE": "1G", "VLLMD_HYPERVISOR_STATE_DIR": "$HOME/elsewhere"}
    said = prepared.run("install-systemd", "--dry-run", env=env).out
    assert "hugepage_size=1G" in said
    assert "VLLMD_HYPERVISOR_STATE_DIR=FOLDER/home/elsewhere\n" in said


def test_network_is_left_out_by_the_variable(prepared: HostCommands) -> None:
    env = {"VLLMD_DISABLE_NETWORK": "true"}
    assert "HYPERVISOR_NET=" not in prepared.run("install-systemd", "--dry-run", env=env).out


@pytest.mark.parametrize(("level", "lines"), [("INFO", True), ("WARN", False)])
def test_steps_are_told_at_their_level(prepared: HostCommands, level: str, *, lines: bool) -> None:
    done = prepared.run("install-systemd", env={"VLLMD_HYPERVISOR_LOG_LEVEL": level})
    assert bool(done.out) == lines


def test_user_that_is_not_there_is_refused(prepared: HostCommands) -> None:
    done = prepared.run("install-systemd", env={"VLLMD_SYSTEMD_USER": "no-such-user"})
    assert (done.code, units(prepared)) == (69, [])


def test_boot_unit_finds_the_same_file(prepared: HostCommands) -> None:
    prepared.run("install-systemd", env={"VLLMD_HUGEPAGES_SIZE": "1G"})
    text = (prepared.folder / "units" / "vllmd-hypervisor-initialize.service").read_text()
    assert f"Environment=VLLMD_HYPERVISOR_CONFIG={prepared.folder}/host.toml\n" in text
    assert "Environment=VLLMD_HUGEPAGES_SIZE=1G\n" in text
    assert " initialize\n" in text


def test_host_without_runtimes_is_refused(host: HostCommands) -> None:
    host.write_host("")
    done = host.run("install-systemd")
    assert (done.code, "has no runtime" in done.err) == (69, True)


@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--uninstall",)])
def test_folder_of_units_that_is_a_file_is_told(
    prepared: HostCommands, words: tuple[str, ...]
) -> None:
    (prepared.folder / "units").write_text("")
    done = prepared.run("install-systemd", *words)
    assert (done.code, done.err.splitlines()[-1]) == (69, "error: 'FOLDER/units': not a directory")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs for another user")
def test_state_that_the_guests_user_cannot_reach_is_told(prepared: HostCommands) -> None:
    prepared.folder.chmod(0o700)
    done = prepared.run("install-systemd", env={"VLLMD_SYSTEMD_USER": "nobody"})
    assert "the user 'nobody' cannot reach 'FOLDER/state'" in done.err
    assert "hint: set global.state_dir to a folder like /var/lib/vllmd" in done.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs for another user")
def test_home_that_is_not_of_its_user_gets_no_logs(prepared: HostCommands) -> None:
    home = pwd.getpwnam("daemon").pw_dir  # a folder of programs, on Debian
    prepared.run("install-systemd", env={"VLLMD_SYSTEMD_USER": "daemon"})
    text = (prepared.folder / "units" / "vllmd-runtime@vllm_2.service").read_text()
    assert f"LOG_FILEPATH={prepared.state_dir}/.local/log/vllmd/vllm_2.log" in text
    assert not os.path.exists(f"{home}/.local")


def test_boot_unit_waits_for_the_hosts_own_network(prepared: HostCommands) -> None:
    prepared.run("install-systemd")
    text = (prepared.folder / "units" / "vllmd-hypervisor-initialize.service").read_text()
    (after,) = re.findall(r"^After=(.*)$", text, re.MULTILINE)
    assert {"network-online.target", "docker.service"} <= set(after.split())


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_ours(prepared: HostCommands, make: Callable[[str], None]) -> None:
    (prepared.folder / "config").mkdir()
    make(f"{prepared.folder}/config/hypervisor-vllm_2.env")
    done = prepared.run("install-systemd")
    assert (done.code, "vllm_2.env' is there, and was not written by us" in done.err) == (69, True)
    assert prepared.run("install-systemd", "--uninstall").out == "nothing is installed\n"
