"""Seed disks: written by the command, read back, and judged by cloud-init itself."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from launcher.hypervisor.guest.seed import read_seed_image
from tests.support.require import require_program

if TYPE_CHECKING:
    from tests.support.preparing import HostCommands

LAUNCHER = '[instance.chat.server]\nmodel = "/models/chat"\napi_key = "env:CHAT_KEY"\n'
RUNTIMES = '[[runtimes]]\nindex = 1\nname = "one"\nguest.config = "FOLDER/vllm.toml"\n'
KEY_DATA = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()
KEY = f"ssh-ed25519 {KEY_DATA} me@host"
ASKED = "instance.chat.server.api_key"


@pytest.fixture
def prepared(host: HostCommands) -> HostCommands:
    host.write_host(RUNTIMES.replace("FOLDER", str(host.folder)))
    (host.folder / "vllm.toml").write_text(LAUNCHER)
    (host.folder / "home" / ".ssh").mkdir()
    (host.folder / "home" / ".ssh" / "id_rsa.pub").write_text(f"{KEY}\n")
    host.variables["VLLMD_CLOUD_INIT_USER"] = "sdake"
    return host


def seed(host: HostCommands, name: str = "one") -> dict[str, bytes]:
    return read_seed_image(str(host.state_dir / name / "seed.img"))


def user_data(host: HostCommands) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(seed(host)["user-data"].partition(b"\n")[2])
    return data


def network(host: HostCommands) -> Any:
    return json.loads(seed(host)["network-config"])["ethernets"]


def test_seed_has_all_files_and_is_private(prepared: HostCommands) -> None:
    done = prepared.run("generate-init")
    assert done.code == 0
    assert set(seed(prepared)) == {"user-data", "meta-data", "network-config", "vllm.toml"}
    assert (prepared.state_dir / "one" / "seed.img").stat().st_mode & 0o777 == 0o600


def test_user_data_is_valid_for_cloud_init(prepared: HostCommands) -> None:
    cloud_init = require_program("integration", "cloud-init")
    prepared.run("generate-init")
    (prepared.folder / "user-data").write_bytes(seed(prepared)["user-data"])
    done = subprocess.run(
        [cloud_init, "schema", "--config-file", str(prepared.folder / "user-data")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, "Valid cloud-config" in done.stdout) == (0, True), done.stderr


def test_user_and_key_are_those_of_the_variables(prepared: HostCommands) -> None:
    prepared.run("generate-init")
    (user,) = user_data(prepared)["users"]
    assert (user["name"], user["ssh_authorized_keys"]) == ("sdake", [KEY])


def test_other_key_is_taken_with_a_notice(prepared: HostCommands) -> None:
    folder = prepared.folder / "home" / ".ssh"
    (folder / "id_rsa.pub").rename(folder / "id_ed25519.pub")
    done = prepared.run("generate-init")
    assert "note: the SSH key is that of 'FOLDER/home/.ssh/id_ed25519.pub'\n" in done.out
    assert user_data(prepared)["users"][0]["ssh_authorized_keys"] == [KEY]


def test_host_without_a_key_is_warned(prepared: HostCommands) -> None:
    (prepared.folder / "home" / ".ssh" / "id_rsa.pub").unlink()
    done = prepared.run("generate-init")
    assert (done.code, "warning: there is no SSH key" in done.err) == (0, True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none", None, "cannot be read: no such file or directory"),
        ("id_rsa", "-----BEGIN OPENSSH PRIVATE KEY-----\n", "this is a private key"),
        ("junk", "hello\n", "this is no public key of SSH"),
    ],
)
def test_key_that_is_none_is_refused(
    prepared: HostCommands, name: str, text: str | None, message: str
) -> None:
    path = prepared.folder / name
    if text is not None:
        path.write_text(text)
    done = prepared.run("generate-init", env={"VLLMD_SSH_KEY_PATH": str(path)})
    assert (done.code, f"VLLMD_SSH_KEY_PATH: 'FOLDER/{name}'" in done.err) == (78, True)
    assert message in done.err
    assert not prepared.state_dir.exists()


def test_user_that_no_guest_can_have_is_refused(prepared: HostCommands) -> None:
    done = prepared.run("generate-init", env={"VLLMD_CLOUD_INIT_USER": "Big User"})
    assert (done.code, "VLLMD_CLOUD_INIT_USER: 'Big User'" in done.err) == (78, True)


def test_second_run_changes_nothing(prepared: HostCommands) -> None:
    prepared.run("generate-init")
    former = (prepared.state_dir / "one" / "seed.img").stat().st_mtime_ns
    assert "unchanged: FOLDER/state/one/seed.img" in prepared.run("generate-init").out
    assert (prepared.state_dir / "one" / "seed.img").stat().st_mtime_ns == former


@pytest.mark.parametrize("by_variable", [True, False])
def test_dry_run_writes_nothing(prepared: HostCommands, *, by_variable: bool) -> None:
    if by_variable:
        done = prepared.run("generate-init", env={"VLLMD_HYPERVISOR_DRY_RUN": "true"})
    else:
        done = prepared.run("generate-init", "--dry-run")
    assert (done.code, "would write: FOLDER/state/one/seed.img" in done.out) == (0, True)
    assert not prepared.state_dir.exists()


def test_launchers_file_and_overrides_ride_along(prepared: HostCommands) -> None:
    overrides = '{"instance": {"chat": {"server": {"port": 8001}}}}'
    prepared.run("generate-init", env={"AUTO_INFER_VLLM_OVERRIDES": overrides})
    files = {file["path"]: file["content"] for file in user_data(prepared)["write_files"]}
    assert base64.b64decode(files["/etc/vllmd/vllm.toml"]).decode() == LAUNCHER
    assert json.loads(base64.b64decode(files["/etc/vllmd/overrides.json"])) == json.loads(overrides)
    assert json.loads(seed(prepared)["overrides.json"]) == json.loads(overrides)


def test_runtime_without_a_file_takes_that_of_the_variable(prepared: HostCommands) -> None:
    prepared.write_host('[[runtimes]]\nindex = 1\nname = "one"\n')
    prepared.run("generate-init")
    assert "vllm.toml" not in seed(prepared)
    env = {"AUTO_INFER_VLLM_CONFIG": str(prepared.folder / "vllm.toml")}
    prepared.run("generate-init", env=env)
    assert seed(prepared)["vllm.toml"].decode() == LAUNCHER


def test_launchers_file_with_a_mistake_is_refused(prepared: HostCommands) -> None:
    (prepared.folder / "vllm.toml").write_text('[instance.chat.servr]\nmodel = "x"\n')
    done = prepared.run("generate-init")
    assert (done.code, "FOLDER/vllm.toml:1:" in done.err) == (78, True)
    assert not prepared.state_dir.exists()


def test_secret_of_the_host_stays_there(prepared: HostCommands) -> None:
    done = prepared.run("generate-init", env={"CHAT_KEY": "sk-123"})
    assert "which the guest has to have" in done.err
    assert b"sk-123" not in (prepared.state_dir / "one" / "seed.img").read_bytes()


def test_secret_that_is_asked_for_rides_in_the_overrides(prepared: HostCommands) -> None:
    done = prepared.run("generate-init", "--with-secret", ASKED, env={"CHAT_KEY": "sk-123"})
    assert (done.code, "sk-123" in done.out + done.err) == (0, False)
    assert json.loads(seed(prepared)["overrides.json"]) == {
        "instance": {"chat": {"server": {"api_key": "sk-123"}}}
    }


def test_secret_that_is_asked_for_and_missing_is_reported(prepared: HostCommands) -> None:
    done = prepared.run("generate-init", "--with-secret", ASKED)
    assert (
        done.code,
        "the secret 'env:CHAT_KEY' is not there: the variable is not set" in done.err,
    ) == (69, True)


def test_secret_in_the_file_is_refused_with_its_line(prepared: HostCommands) -> None:
    (prepared.folder / "vllm.toml").write_text(LAUNCHER.replace("env:CHAT_KEY", "sk-123"))
    done = prepared.run("generate-init")
    assert (done.code, "sk-123" in done.out + done.err) == (78, False)
    assert f"FOLDER/vllm.toml:3:11: '{ASKED}' is a secret" in done.err
    assert not prepared.state_dir.exists()


def test_name_that_is_no_secret_is_refused_with_the_nearest(prepared: HostCommands) -> None:
    done = prepared.run("generate-init", "--with-secret", ASKED[:-1])
    assert (done.code, f"did you mean '{ASKED}'?" in done.err) == (64, True)


@pytest.mark.parametrize(
    ("tail", "env", "expected"),
    [
        ("", {}, {"dhcp4": False, "addresses": ["10.111.0.11/24"]}),
        ('guest.net = "user"\n', {}, {"dhcp4": False, "addresses": ["10.0.2.15/24"]}),
        ("", {"VLLMD_DISABLE_NETWORK": "1"}, {"dhcp4": False, "addresses": ["10.0.2.15/24"]}),
        ('guest.net = "tap=mine0"\n', {}, {"dhcp4": True}),
        ("[network]\njoin = true\n", {}, {"dhcp4": True}),
        ('[network]\nsubnet = "10.7.0.0/16"\n', {}, {"addresses": ["10.7.0.11/16"]}),
    ],
)
def test_address_fits_the_network_of_the_runtime(
    prepared: HostCommands, tail: str, env: dict[str, str], expected: dict[str, object]
) -> None:
    prepared.write_host(f'[[runtimes]]\nindex = 1\nname = "one"\n{tail}')
    assert prepared.run("generate-init", env=env).code == 0
    device = network(prepared)["vllmd0"]
    assert device | expected == device
    assert device["match"]["macaddress"].startswith("52:54:00:")


def test_runtime_without_a_network_has_no_device(prepared: HostCommands) -> None:
    prepared.write_host('[[runtimes]]\nindex = 1\nname = "one"\nguest.net = "none"\n')
    prepared.run("generate-init")
    assert network(prepared) == {}


def test_missing_base_image_is_told_where_it_is_expected(prepared: HostCommands) -> None:
    done = prepared.run("generate-init")
    assert done.code == 0
    assert "there is no system image for 'one': 'Ubuntu 22.04' is expected at" in done.err
    assert "'FOLDER/state/images/jammy-server-cloudimg-" in done.err


def test_base_image_becomes_the_runtimes_own(prepared: HostCommands) -> None:
    base = prepared.folder / "base.img"
    base.write_bytes(b"QFI\xfb and so on")
    done = prepared.run("generate-init", env={"VLLMD_CLOUD_IMAGE": str(base)})
    assert "copy: FOLDER/base.img to FOLDER/state/one/system.qcow2\n" in done.out
    assert (prepared.state_dir / "one" / "system.qcow2").read_bytes() == b"QFI\xfb and so on"
    assert "copy" not in prepared.run("generate-init", env={"VLLMD_CLOUD_IMAGE": str(base)}).out
    unit = prepared.run("install-systemd", "--dry-run").out
    assert "SYSTEM_IMAGE_FILEPATH=FOLDER/state/one/system.qcow2" in unit


def test_unknown_base_image_is_refused(prepared: HostCommands) -> None:
    done = prepared.run("generate-init", env={"VLLMD_CLOUD_IMAGE": "Ubunto 22.04"})
    assert (done.code, "did you mean 'Ubuntu 22.04'?" in done.err) == (78, True)


def test_base_image_that_nobody_knows_is_told_before_anything_is_written(
    prepared: HostCommands,
) -> None:
    done = prepared.run("generate-init", env={"VLLMD_CLOUD_IMAGE": "Fedora"})
    assert done.code == 78
    assert "VLLMD_CLOUD_IMAGE: 'Fedora' is no path, and no known base image" in done.err
    assert not prepared.state_dir.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for another user")
def test_link_in_the_place_of_a_runtimes_folder_is_not_followed(prepared: HostCommands) -> None:
    prepared.state_dir.mkdir()
    (prepared.folder / "elsewhere").mkdir()
    (prepared.state_dir / "one").symlink_to(prepared.folder / "elsewhere")
    done = prepared.run("generate-init", env={"VLLMD_SYSTEMD_USER": "nobody"})
    assert (done.code, "'FOLDER/state/one' is a link" in done.err) == (69, True)
    assert list((prepared.folder / "elsewhere").iterdir()) == []


def test_exported_default_of_the_key_is_no_wish(prepared: HostCommands) -> None:
    keys = prepared.folder / "home" / ".ssh"
    (keys / "id_rsa.pub").rename(keys / "id_ed25519.pub")
    done = prepared.run("generate-init", env={"VLLMD_SSH_KEY_PATH": "$HOME/.ssh/id_rsa.pub"})
    assert (done.code, "note: the SSH key is that of" in done.out) == (0, True)


def test_overrides_without_a_file_are_told(host: HostCommands) -> None:
    host.write_host('[[runtimes]]\nindex = 1\nname = "one"\n')
    done = host.run("generate-init", env={"AUTO_INFER_VLLM_OVERRIDES": '{"instance": {}}'})
    assert done.code == 0
    assert "OVERRIDES is set, and there is no launcher's file for 'one'" in done.err
