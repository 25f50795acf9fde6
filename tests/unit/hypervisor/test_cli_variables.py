"""`vllmd-hypervisor variables`: the registry as a list, JSON, a shell's exports, and a schema."""

from __future__ import annotations

import json
import subprocess

import pytest

from launcher.cli.hypervisor.variables import main
from launcher.errors import UsageError
from launcher.hypervisor.host.keys import GLOBAL_KEYS, NETWORK_KEYS, RUNTIME_KEYS
from launcher.hypervisor.variables import VARIABLES

Capture = pytest.CaptureFixture[str]


def shown(capsys: Capture, *argv: str, **environ: str) -> str:
    assert main([*argv], environ) == 0
    return capsys.readouterr().out


# The tables of the reference, row by row: name, default, and who reads it.
REFERENCE = [
    ("VLLMD_HYPERVISOR_CONFIG", "$HOME/.config/vllmd/config.toml", "precheck"),
    ("VLLMD_HYPERVISOR_STATE_DIR", "$HOME/.local/state/vllmd-hypervisor", "precheck"),
    ("VLLMD_HYPERVISOR_LOG_LEVEL", "INFO", "precheck"),
    ("VLLMD_HYPERVISOR_DRY_RUN", "false", "install-systemd"),
    ("VLLMD_KVM_GROUP", "kvm", "precheck"),
    ("VLLMD_HUGEPAGES_SIZE", "2M", "initialize"),
    ("VLLMD_DISABLE_NESTED_VIRT", "false", "precheck"),
    ("VLLMD_BRIDGE_NAME", "vllmd-br0", "initialize"),
    ("VLLMD_HOST_INTERFACE", "first active interface", "initialize"),
    ("VLLMD_DISABLE_NETWORK", "false", "initialize"),
    ("VLLMD_SYSTEMD_USER", "current user", "install-systemd"),
    ("VLLMD_SYSTEMD_DIR", "/etc/systemd/system", "install-systemd"),
    ("VLLMD_RUNTIME_TEMPLATE", "the template of this package", "install-systemd"),
    ("VLLMD_CLOUD_INIT_USER", "current user", "generate-init"),
    ("VLLMD_SSH_KEY_PATH", "$HOME/.ssh/id_rsa.pub", "generate-init"),
    ("VLLMD_CLOUD_IMAGE", "Ubuntu 22.04", "generate-init"),
    ("VLLMD_HYPERVISOR_KERNEL_FILEPATH", None, "start"),
    ("VLLMD_HYPERVISOR_SYSTEM_IMAGE_FILEPATH", None, "start"),
    ("VLLMD_HYPERVISOR_CONFIG_IMAGE_FILEPATH", None, "start"),
    ("VLLMD_HYPERVISOR_CPU_COUNT", "4", "start"),
    ("VLLMD_HYPERVISOR_MEMORY_CONFIG", "size=16G,shared=on", "start"),
    ("VLLMD_HYPERVISOR_DEVICE_FILEPATH_LIST", "none", "start"),
    ("VLLMD_HYPERVISOR_CMDLINE", "empty", "start"),
    ("VLLMD_HYPERVISOR_LOG_FILEPATH", "/dev/stdout", "start"),
    ("VLLMD_HYPERVISOR_DEBUG", "off", "start"),
]


@pytest.mark.parametrize(("name", "default", "command"), REFERENCE)
def test_variable_has_the_default_and_the_reader_of_the_reference(
    capsys: Capture, name: str, default: str | None, command: str
) -> None:
    rows = {row["name"]: row for row in json.loads(shown(capsys, "--json"))}
    row = rows[name]
    assert (row["default_words"], row["required"]) == (default, default is None)
    assert command in row["used_by"]


def test_json_tells_what_is_set(capsys: Capture) -> None:
    rows = json.loads(shown(capsys, "precheck", "--json", VLLMD_KVM_GROUP="virt"))
    values = {row["name"]: row["value"] for row in rows}
    assert values["VLLMD_KVM_GROUP"] == "virt"
    assert values["VLLMD_BRIDGE_NAME"] is None
    assert "VLLMD_HYPERVISOR_CMDLINE" not in values


def test_list_tells_every_variable_with_its_default(capsys: Capture) -> None:
    blocks = shown(capsys, VLLMD_KVM_GROUP="virt").split("\nVLLMD_")
    assert len(blocks) == len(VARIABLES)
    block = next(each for each in blocks if each.startswith("KVM_GROUP"))
    assert block.splitlines()[1:] == [
        "    Group name for KVM permissions",
        "    default: kvm",
        "    used by: precheck, install-systemd",
        "    set to: virt",
    ]


def test_list_warns_of_an_unknown_name(capsys: Capture) -> None:
    main([], {"VLLMD_BRIDGENAME": "x"})
    assert "did you mean 'VLLMD_BRIDGE_NAME'?" in capsys.readouterr().err


def test_env_gives_a_shell_the_defaults(capsys: Capture) -> None:
    script = shown(capsys, "--env") + '\nenv | grep "^VLLMD_" | sort\n'
    done = subprocess.run(
        ["/bin/sh", "-eu"], input=script, env={"HOME": "/home/a b", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    wanted = {
        f"{row.name}={row.default.replace('$HOME', '/home/a b')}"
        for row in VARIABLES.values()
        if row.default
    }
    assert set(done.stdout.splitlines()) == wanted


def test_env_leaves_out_what_has_no_default(capsys: Capture) -> None:
    lines = shown(capsys, "--env").splitlines()
    assert "# export VLLMD_HYPERVISOR_KERNEL_FILEPATH=  # required" in lines
    assert "# export VLLMD_SYSTEMD_USER=  # default: current user" in lines


def test_schema_is_the_one_of_the_hosts_file(capsys: Capture) -> None:
    schema = json.loads(shown(capsys, "--schema"))["properties"]
    assert schema["global"]["properties"].keys() == {key.name for key in GLOBAL_KEYS}
    assert schema["network"]["properties"].keys() == {key.name for key in NETWORK_KEYS}
    runtime = schema["runtimes"]["items"]
    assert runtime["properties"].keys() == {*(key.name for key in RUNTIME_KEYS), "guest"}
    assert runtime["required"] == ["index", "name"]


@pytest.mark.parametrize("argv", [["precheckk"], ["--json", "--env"], ["--yaml"]])
def test_wrong_words_are_wrong_usage(argv: list[str]) -> None:
    with pytest.raises(UsageError):
        main(argv, {})
