"""`vllmd-hypervisor precheck`, as a program and as the script of the same purpose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launcher.cli.hypervisor.precheck import main
from launcher.errors import ConfigError, UsageError
from launcher.hypervisor.host.machine import find_program
from tests.support.hosts import NO_RUNTIMES, REFERENCE, TWO_RUNTIMES, intel_with_two_h100, laptop
from tests.support.hosttree import HostTree

ROOT = Path(__file__).parents[3]
Capture = pytest.CaptureFixture[str]


def environ_of(folder: Path, text: str, **more: str) -> dict[str, str]:
    """Return an environment whose HOME has a host's file, and whose PATH has QEMU."""
    (folder / "home").mkdir()
    (folder / "home/my-custom-config.toml").write_text(text)
    return {
        "HOME": str(folder / "home"),
        "PATH": "/usr/bin",
        "VLLMD_HYPERVISOR_CONFIG": "$HOME/my-custom-config.toml",
        **more,
    }


@pytest.fixture
def host(tmp_path: Path) -> HostTree:
    tree = intel_with_two_h100(HostTree(tmp_path / "host"))
    for name in ("qemu-system-x86_64", "qemu-system-aarch64", "cloud-hypervisor"):
        tree.write(f"usr/bin/{name}", "#!/bin/sh")
        (tree.root / f"usr/bin/{name}").chmod(0o755)
    tree.write("etc/group", f"kvm:x:104:{'ada'}")
    return tree


def test_prepared_host_is_all_right(host: HostTree, tmp_path: Path, capsys: Capture) -> None:
    environ = environ_of(tmp_path, TWO_RUNTIMES)
    assert main(["--json", "--root", str(host.root)], environ) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["counts"]["fail"] == 0
    row = next(each for each in shown["checks"] if each["name"] == "kvm")
    assert row["status"] == "skip"
    assert row.keys() == {"name", "status", "seen", "why", "mend"}


def test_failed_check_is_exit_code_69_with_reason_and_command(
    tmp_path: Path, capsys: Capture
) -> None:
    tree = laptop(HostTree(tmp_path / "host"))
    environ = environ_of(tmp_path, TWO_RUNTIMES)
    assert main(["--root", str(tree.root)], environ) == 69
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("fail  iommu: there are no IOMMU groups")
    assert lines[at + 1].startswith("      why:  it keeps a passed-through device out")
    assert lines[at + 2].startswith("      mend: sudo sed -i")
    assert "9 failed" in lines[-1]


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("DEBUG", {"ok", "warn", "fail", "skip"}),
        ("INFO", {"ok", "warn", "fail", "skip"}),
        ("WARN", {"warn", "fail"}),
        ("error", {"fail"}),
    ],
)
def test_log_level_chooses_what_is_shown(
    tmp_path: Path, capsys: Capture, level: str, words: set[str]
) -> None:
    tree = laptop(HostTree(tmp_path / "host"))
    environ = environ_of(tmp_path, TWO_RUNTIMES, VLLMD_HYPERVISOR_LOG_LEVEL=level)
    main(["--root", str(tree.root)], environ)
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines()[:-1] if not line.startswith(" ")]
    assert {line.split()[0] for line in lines} == words
    reasons = sum(line.startswith("      why:") for line in out.splitlines())
    assert (reasons == len(lines)) == (level != "INFO")


def test_reference_example_of_the_file_is_checked_as_written(
    host: HostTree, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["--root", str(host.root)], environ_of(tmp_path, REFERENCE)) == 69
    out = capsys.readouterr().out
    assert "fail  gpu 0000:01:00.0: this machine has no such device; its GPUs are" in out
    assert "fail  interface eth0: there is no such interface" in out


def test_unknown_variable_is_warned_of(host: HostTree, tmp_path: Path, capsys: Capture) -> None:
    environ = environ_of(tmp_path, NO_RUNTIMES, VLLMD_KVMGROUP="kvm")
    main(["--root", str(host.root)], environ)
    assert "did you mean 'VLLMD_KVM_GROUP'?" in capsys.readouterr().err


def test_wrong_file_stops_the_checks(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        main([], environ_of(tmp_path, "[global]\nusr = 1\n"))


def test_root_without_a_host_is_wrong_usage(tmp_path: Path) -> None:
    environ = environ_of(tmp_path, NO_RUNTIMES)
    with pytest.raises(UsageError, match="holds no /sys and /proc"):
        main(["--root", str(tmp_path)], environ)


def test_program_is_asked_for_its_version(tmp_path: Path) -> None:
    program = tmp_path / "cloud-hypervisor"
    program.write_text("#!/bin/sh\necho 'cloud-hypervisor v51.1'\n")
    program.chmod(0o755)
    found = find_program("cloud-hypervisor", str(tmp_path))
    assert (found.path, found.version, found.numbers) == (str(program), "51.1", (51, 1))


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", "#!/no/such/shell\n", "#!/bin/sh\n"])
def test_program_that_does_not_tell_has_no_version(tmp_path: Path, text: str) -> None:
    program = tmp_path / "qemu"
    program.write_text(text)
    program.chmod(0o755)
    assert find_program("qemu", str(tmp_path)).version == ""


def test_program_that_is_missing_has_no_path(tmp_path: Path) -> None:
    assert find_program("qemu", str(tmp_path)).path == ""
