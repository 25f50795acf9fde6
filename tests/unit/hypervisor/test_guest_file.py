from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from launcher.cli.hypervisor.guest_file import prepare_guest
from launcher.config.problems import errors_of
from launcher.errors import ConfigError, HostError, LauncherError
from launcher.hypervisor.guest.manifest import ImageManifest, render_manifest
from launcher.hypervisor.guest.seed import read_seed_image
from launcher.hypervisor.identity import find_identity
from launcher.hypervisor.rundir import find_rundirs, make_rundir
from launcher.hypervisor.state import GuestState
from launcher.render.overrides import merge

if TYPE_CHECKING:
    from pathlib import Path

P = "VLLMD_HYPERVISOR_"
SERVER = '[instance.a.server]\nmodel = "m"\n'

# The machine may have guests of its own, the default one above all.
NAME = "test-guest-file"


class Files:
    """A launcher's file in a folder, and what `start --config` makes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "vllm.toml"

    def prepare(
        self, text: str, *assignments: str, asked: tuple[str, ...] = (), **environ: str
    ) -> dict[str, str]:
        self.path.write_text(text if "[guest]" in text else f"[guest]\n{text}")
        home = {
            "HOME": str(self.folder),
            "PATH": "/usr/bin",
            "VLLMD_HYPERVISOR_NAME": NAME,
        }
        return prepare_guest(str(self.path), assignments, asked, {**home, **environ})

    def seed(self, found: dict[str, str]) -> dict[str, bytes]:
        return read_seed_image(found[f"{P}CONFIG_IMAGE_FILEPATH"])


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_table_becomes_the_variables_of_start(files: Files) -> None:
    table = '[guest]\nkernel = "/k"\nimage = "/i"\ncpus = 8\nmemory = "size=2G"\n' \
        'publish = ["8000:8000", "9000:9000"]\n'  # fmt: skip  # noqa: ISC002
    found = files.prepare(table + SERVER)
    wanted = {"KERNEL_FILEPATH": "/k", "SYSTEM_IMAGE_FILEPATH": "/i", "CPU_COUNT": "8",
              "MEMORY_CONFIG": "size=2G", "PUBLISH": "8000:8000,9000:9000"}  # fmt: skip
    assert {name: found[P + name] for name in wanted} == wanted


def test_variable_that_is_set_wins_over_the_table(files: Files) -> None:
    found = files.prepare("[guest]\ncpus = 8\n" + SERVER, VLLMD_HYPERVISOR_CPU_COUNT="2")
    assert found[f"{P}CPU_COUNT"] == "2"


def test_folder_of_an_image_stands_for_all_that_is_in_it(files: Files) -> None:
    folder = files.folder / "guest"
    folder.mkdir()
    manifest = ImageManifest(
        kernel="vmlinuz", initramfs="i", image="root.img", flavour="minimal",
        filesystem="erofs", cmdline="",
    )  # fmt: skip
    (folder / "image.json").write_text(render_manifest(manifest))
    found = files.prepare('[guest]\nimage = "guest"\n' + SERVER)
    assert found[f"{P}KERNEL_FILEPATH"] == str(folder / "vmlinuz")
    assert found[f"{P}SYSTEM_IMAGE_FILEPATH"] == str(folder / "root.img")


def test_file_rides_on_the_seed_disk_with_the_settings_over_it(files: Files) -> None:
    overrides = '{"instance": {"a": {"server": {"port": 8001}}}}'
    found = files.prepare(
        SERVER, "instance.a.control.enabled=false", AUTO_INFER_VLLM_OVERRIDES=overrides
    )
    seed = files.seed(found)
    assert seed["vllm.toml"].decode().endswith(SERVER)
    inner = {"server": {"port": 8001}, "control": {"enabled": False}}
    assert json.loads(seed["overrides.json"]) == {"instance": {"a": inner}}


def test_seed_disk_has_no_network_of_its_own_without_a_tap(files: Files) -> None:
    assert "network-config" not in files.seed(files.prepare(SERVER))
    tap = files.prepare('[guest]\nnet = "tap=vllmd-tap1"\n' + SERVER)
    assert b"dhcp4" in files.seed(tap)["network-config"]


def test_secret_reaches_the_seed_disk_only_when_it_is_asked_for(files: Files) -> None:
    text = SERVER + 'api_key = "env:KEY"\n'
    assert b"s3cret" not in b"".join(files.seed(files.prepare(text, KEY="s3cret")).values())
    asked = files.prepare(text, asked=("instance.a.server.api_key",), KEY="s3cret")
    assert b"s3cret" in files.seed(asked)["overrides.json"]


def test_mistake_in_the_table_is_told_with_its_line_and_nothing_is_written(files: Files) -> None:
    with pytest.raises(ConfigError) as caught:
        files.prepare('[guest]\nmemry = "size=2G"\n' + SERVER)
    assert [each.path for each in caught.value.problems] == [("guest", "memry")]
    assert [each.name for each in files.folder.iterdir()] == ["vllm.toml"]


def test_more_gpus_than_devices_are_refused(files: Files) -> None:
    with pytest.raises(ConfigError) as caught:
        files.prepare(SERVER + '[instance.a.control]\ngpu_ids = "0,1"\n')
    message = "the instances use 2 GPUs (0, 1), and the guest gets 0"
    assert [each.message for each in caught.value.problems] == [message]


def test_state_directory_that_cannot_be_made_is_refused(files: Files) -> None:
    (files.folder / "file").touch()
    with pytest.raises(LauncherError, match="the config image cannot be written to"):
        files.prepare(SERVER, VLLMD_HYPERVISOR_STATE_DIR=str(files.folder / "file" / "x"))


def test_null_in_overrides_stays_to_remove_a_key() -> None:
    assert merge({"a": {"b": 1}}, {"a": {"b": None, "c": 2}}) == {"a": {"b": None, "c": 2}}


def test_file_without_the_table_is_told_so(files: Files) -> None:
    files.path.write_text(SERVER)
    with pytest.raises(ConfigError) as refused:
        prepare_guest(str(files.path), (), (), {"HOME": str(files.folder)})
    (problem,) = errors_of(refused.value.problems)
    assert problem.message == "there is no table [guest] in this file"


def test_seed_of_a_guest_that_runs_is_left_alone(files: Files) -> None:
    runtime = str(files.folder)
    former = files.prepare(SERVER, XDG_RUNTIME_DIR=runtime)
    (rundir, *_) = find_rundirs(NAME, {"XDG_RUNTIME_DIR": runtime})
    make_rundir(rundir)
    us = find_identity(os.getpid())
    assert us is not None
    rundir.write_state(
        GuestState(
            name=NAME,
            backend="qemu",
            accelerator="tcg",
            why="",
            supervisor=us,
            started_at=0.0,
            cpus=1,
            memory=1,
        )
    )
    with pytest.raises(HostError, match="is running already"):
        files.prepare(SERVER.replace('"m"', '"other"'), XDG_RUNTIME_DIR=runtime)
    assert b'"m"' in files.seed(former)["vllm.toml"]
