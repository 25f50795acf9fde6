from __future__ import annotations

import subprocess

import pytest

from launcher.config.reader import Refusal
from launcher.hypervisor.host.install import read_template
from launcher.hypervisor.host.model import (
    GlobalConfig,
    GuestConfig,
    HostConfig,
    NetworkConfig,
    Runtime,
)
from launcher.hypervisor.host.units import (
    GuestFiles,
    Installation,
    guest_variables,
    memlock_bytes,
    memory_bytes,
    quote_environment,
    quote_unit,
    render_environment,
    render_runtime_unit,
    unit_name,
)
from launcher.hypervisor.network import derive_mac
from launcher.record import replace

GIB = 1 << 30
RUNTIME = Runtime(index=1, name="chat", gpus=("0000:01:00.0",), memory_gb=64, cpus=16)
FILES = GuestFiles(kernel="/k", image="/images/a.img")
CONFIG = HostConfig(
    path="/etc/host.toml",
    common=GlobalConfig(user="sdake", state_dir="/state", config_dir="/conf"),
    runtimes=(RUNTIME,),
    network=NetworkConfig(),
)
INSTALLATION = Installation(
    program=("/bin/vllmd-hypervisor",),
    home="/home/sdake",
    kvm_group="kvm",
    hugepages_size="2M",
    template=read_template("runtime.service"),
    environment={},
)


def unit(installation: Installation = INSTALLATION, files: GuestFiles = FILES) -> list[str]:
    return render_runtime_unit(CONFIG, RUNTIME, files, installation).splitlines()


def variables(runtime: Runtime, installation: Installation = INSTALLATION) -> dict[str, str]:
    found = guest_variables(CONFIG, runtime, FILES, installation)
    return {name.removeprefix("VLLMD_HYPERVISOR_"): value for name, value in found.items()}


def test_variables_are_those_that_start_reads() -> None:
    assert variables(RUNTIME) == {
        "NAME": "chat",
        "KERNEL_FILEPATH": "/k",
        "SYSTEM_IMAGE_FILEPATH": "/images/a.img",
        "CONFIG_IMAGE_FILEPATH": "/state/chat/seed.img",
        "CPU_COUNT": "16",
        "MEMORY_CONFIG": "size=64G,shared=on,hugepages=on,hugepage_size=2M,prefault=on",
        "DEVICE_FILEPATH_LIST": "0000:01:00.0",
        "NET": f"tap=vllmd-tap1,mac={derive_mac('chat')}",
        "STATE_DIR": "/state",
    }


def test_variables_of_the_guest_table_win() -> None:
    guest = GuestConfig(
        cpus=2, memory="size=1G", devices=("/dev/vfio/9",), net="user", publish=("80:8000",)
    )
    found = variables(replace(RUNTIME, guest=guest))
    wanted = ("CPU_COUNT", "MEMORY_CONFIG", "DEVICE_FILEPATH_LIST", "NET", "PUBLISH")
    assert [found[name] for name in wanted] == ["2", "size=1G", "/dev/vfio/9", "user", "80:8000"]


def test_host_without_a_network_leaves_it_to_the_backend() -> None:
    assert "NET" not in variables(RUNTIME, replace(INSTALLATION, with_network=False))


def test_unit_does_what_the_documented_one_does() -> None:
    for line in (
        "Description=VLLMD Runtime %i",
        "Slice=vllmd.slice",
        "Type=simple",
        'Environment="VLLMD_HYPERVISOR_LOG_FILEPATH=/home/sdake/.local/log/vllmd/chat.log"',
        "EnvironmentFile=/conf/hypervisor-chat.env",
        "ExecStart=/bin/vllmd-hypervisor start",
        "ExecStop=/bin/vllmd-hypervisor stop",
        "Restart=on-failure",
        "RestartSec=5",
        "TimeoutStartSec=300",
        "TimeoutStopSec=30",
        "WantedBy=default.target",
        "User=sdake",
        "SupplementaryGroups=kvm",
    ):
        assert line in unit()


@pytest.mark.parametrize("gib", [1, 4, 64, 512])
def test_memlock_has_room_for_guest_and_vmm(gib: int) -> None:
    assert memlock_bytes(gib * GIB) >= (gib + 1) * GIB
    assert memlock_bytes(gib * GIB) >= gib * GIB * 5 // 4


def test_memlock_follows_the_memory_of_the_guest() -> None:
    assert f"LimitMEMLOCK={80 * GIB}" in unit()
    guest = GuestConfig(memory="size=2G,shared=on")
    assert memory_bytes(replace(RUNTIME, guest=guest)) == 2 * GIB


def test_image_elsewhere_is_writable_unless_it_is_only_read() -> None:
    assert "ReadWritePaths=/state /home/sdake/.local/log/vllmd -/images/a.img" in unit()
    for files in (replace(FILES, readonly=True), replace(FILES, image="/state/chat/system.img")):
        assert "ReadWritePaths=/state /home/sdake/.local/log/vllmd" in unit(files=files)


def test_own_template_means_the_home_of_the_user() -> None:
    template = "EnvironmentFile=%h/.config/vllmd/hypervisor-%i.env\nX=100%%h\n"
    lines = unit(replace(INSTALLATION, template=template))[1:]
    assert lines == ["EnvironmentFile=/home/sdake/.config/vllmd/hypervisor-%i.env", "X=100%%h"]


def test_own_template_of_a_users_unit_stays() -> None:
    template = "EnvironmentFile=%h/.config/vllmd/hypervisor-%i.env\n"
    lines = unit(replace(INSTALLATION, template=template, user_units=True))[1:]
    assert lines == template.splitlines()


def test_own_template_with_an_unknown_placeholder_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        unit(replace(INSTALLATION, template="LimitMEMLOCK=@MEMLOK@"))
    assert caught.value.message == "'@MEMLOK@' is no placeholder of a unit's template"
    assert caught.value.hint == "did you mean 'MEMLOCK'?"


def test_unit_is_named_after_the_runtime() -> None:
    assert unit_name(RUNTIME) == "vllmd-runtime@chat.service"


@pytest.mark.parametrize("value", ["", "a b", 'say "x"', "$HOME `x`", "back\\slash", "it's", "a#b"])
def test_environment_file_says_the_same_to_a_shell(value: str) -> None:
    script = f'X={quote_environment(value)}\nprintf %s "$X"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == value


def test_environment_file_has_a_variable_a_line() -> None:
    text = render_environment({"A": "1", "B": "two words"})
    assert text.splitlines()[1:] == ["A=1", 'B="two words"']


def test_words_of_a_unit_are_quoted_and_specifiers_escaped() -> None:
    assert (
        quote_unit(("/a/b", "/with blank", '/a"b', "50%")) == r'/a/b "/with blank" "/a\"b" "50%%"'
    )
