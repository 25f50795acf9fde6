"""Where the host's file is looked for, and what the environment says beside it."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from launcher.errors import ConfigError
from launcher.hypervisor.account import gather_account, home_of_caller, with_home
from launcher.hypervisor.environment import EnvironmentReader
from launcher.hypervisor.host.loading import find_overlooked, load_host
from launcher.hypervisor.host.values import runtime_name
from launcher.hypervisor.read import read_name

if TYPE_CHECKING:
    from pathlib import Path


def problems_of(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_host(environ)
    return [problem.message for problem in caught.value.problems]


def test_file_is_the_one_in_the_home(tmp_path: Path) -> None:
    folder = tmp_path / ".config/vllmd"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("[global]\ndefault_cpus = 2\n")
    host = load_host({"HOME": str(tmp_path)})
    assert host.config.common.default_cpus == 2
    assert host.config.path == str(folder / "config.toml")


def test_file_is_the_one_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "my-custom-config.toml").write_text("[global]\ndefault_cpus = 3\n")
    environ = {
        "HOME": str(tmp_path),
        "VLLMD_HYPERVISOR_CONFIG": "$HOME/my-custom-config.toml",
    }
    assert load_host(environ).config.common.default_cpus == 3


def test_without_a_file_all_defaults_hold(tmp_path: Path) -> None:
    host = load_host({"HOME": str(tmp_path)})
    assert (host.config.path, host.config.runtimes, host.warnings) == ("", (), ())
    assert host.config.common.user == host.account.user == gather_account().user


def test_named_file_that_is_missing_is_a_problem_beside_the_others(tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "VLLMD_HYPERVISOR_CONFIG": str(tmp_path / "none.toml"),
        "VLLMD_HUGEPAGES_SIZE": "3M",
    }
    assert problems_of(environ) == [
        "there is no such file",
        "expected one of '2M', '1G', got '3M'",
    ]


def test_folder_in_place_of_the_file_is_a_problem(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "VLLMD_HYPERVISOR_CONFIG": str(tmp_path)}
    assert problems_of(environ) == ["it cannot be read: is a directory"]


def test_file_that_is_not_toml_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[global\n")
    assert len(problems_of({"VLLMD_HYPERVISOR_CONFIG": str(tmp_path / "c.toml")})) == 1


def test_unknown_variable_is_a_warning(tmp_path: Path) -> None:
    (warning,) = load_host({"HOME": str(tmp_path), "VLLMD_BRIDGE": "br0"}).warnings
    assert warning.hint == "did you mean 'VLLMD_BRIDGE_NAME'?"


@pytest.mark.parametrize(
    ("variable", "text", "field", "default", "value"),
    [
        ("VLLMD_HYPERVISOR_LOG_LEVEL", "debug", "log_level", "INFO", "DEBUG"),
        ("VLLMD_HYPERVISOR_DRY_RUN", "true", "dry_run", False, True),
        ("VLLMD_KVM_GROUP", "virt", "kvm_group", "kvm", "virt"),
        ("VLLMD_HUGEPAGES_SIZE", "1G", "hugepages_size", "2M", "1G"),
        ("VLLMD_DISABLE_NESTED_VIRT", "true", "skip_nested", False, True),
        ("VLLMD_DISABLE_NETWORK", "true", "skip_network", False, True),
        ("VLLMD_SYSTEMD_DIR", "~/units", "systemd_dir", "/etc/systemd/system", "{home}/units"),
        ("VLLMD_RUNTIME_TEMPLATE", "/t", "runtime_template", "", "/t"),
        ("VLLMD_CLOUD_INIT_USER", "ada", "cloud_init_user", "{user}", "ada"),
        ("VLLMD_SSH_KEY_PATH", "/k.pub", "ssh_key_path", "{home}/.ssh/id_rsa.pub", "/k.pub"),
        ("VLLMD_CLOUD_IMAGE", "Debian 12", "cloud_image", "Ubuntu 22.04", "Debian 12"),
    ],
)
def test_setting_is_the_variable_or_its_default(  # noqa: PLR0913, PLR0917
    tmp_path: Path, variable: str, text: str, field: str, default: object, value: object
) -> None:
    home = {"HOME": str(tmp_path)}
    names = {"home": str(tmp_path), "user": gather_account().user}
    for environ, expected in ((home, default), ({**home, variable: text}, value)):
        wanted = expected.format(**names) if isinstance(expected, str) else expected
        assert getattr(load_host(environ).settings, field) == wanted


def test_home_is_found_where_the_environment_lacks_it() -> None:
    assert with_home({})["HOME"] == pwd.getpwuid(os.geteuid()).pw_dir
    assert with_home({"HOME": "/x"})["HOME"] == "/x"


def test_path_of_the_file_that_cannot_be_expanded_is_one_problem(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "VLLMD_HYPERVISOR_CONFIG": "$NOWHERE/config.toml"}
    assert problems_of(environ) == ["'$NOWHERE' in it is not set"]


def test_file_that_is_broken_hides_no_variable(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[global\n")
    environ = {
        "HOME": str(tmp_path),
        "VLLMD_HYPERVISOR_CONFIG": str(tmp_path / "broken.toml"),
        "VLLMD_BRIDGE_NAME": "a/b",
    }
    assert problems_of(environ)[1:] == ["'a/b' cannot be the name of a network interface"]


def test_group_that_would_add_a_line_to_the_unit_is_refused(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "VLLMD_KVM_GROUP": "kvm\nExecStartPre=/bin/true"}
    (problem,) = problems_of(environ)
    assert problem.endswith("cannot be the name of a group")


def test_file_that_sudo_hides_is_told(tmp_path: Path) -> None:
    theirs = tmp_path / ".config/vllmd/config.toml"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    (problem,) = find_overlooked("/root/.config/vllmd/config.toml", str(tmp_path))
    assert f"sudo VLLMD_HYPERVISOR_CONFIG={theirs} vllmd-hypervisor" in problem.hint
    assert find_overlooked(str(theirs), str(tmp_path)) == ()


@pytest.mark.parametrize("environ", [{}, {"SUDO_USER": ""}, {"SUDO_USER": "no-such-user"}])
def test_without_sudo_nothing_is_hidden(environ: dict[str, str]) -> None:
    assert find_overlooked("/root/.config/vllmd/config.toml", home_of_caller(environ)) == ()


def test_exported_default_names_no_file(tmp_path: Path) -> None:
    default = "$HOME/.config/vllmd/config.toml"
    host = load_host({"HOME": str(tmp_path), "VLLMD_HYPERVISOR_CONFIG": default})
    assert host.config.path == ""


@pytest.mark.parametrize("name", ["-x", "_x", "x-1", "7"])
def test_name_of_a_runtime_is_one_of_a_guest(name: str) -> None:
    assert runtime_name(name) == read_name(EnvironmentReader({"VLLMD_HYPERVISOR_NAME": name}))


def test_device_without_an_end_is_no_file_of_a_host(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "VLLMD_HYPERVISOR_CONFIG": "/dev/zero"}
    assert problems_of(environ) == ["this file has more than 16 MiB, too much for a configuration"]
