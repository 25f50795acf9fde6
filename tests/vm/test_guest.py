"""What runs inside a guest: the entrypoint, from the file on the config image, and its reports."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from launcher.hypervisor.guest.seed import write_seed_image
from tests.support.container_archives import file, folder, write_docker_archive, write_layer
from tests.support.guest_images import STUBS, build_image, build_once, copy_image
from tests.support.guests import BOOT_S, END_S, GUEST_PORT, Guest, stub_config
from tests.support.launching import render_table
from tests.support.require import require_program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.hypervisor.guest.manifest import ImageManifest


def instance_of(status: dict[str, Any], name: str = "a") -> dict[str, Any] | None:
    instances = (status.get("guest") or {}).get("instances") or []
    return next((each for each in instances if each["name"] == name), None)


def is_ready(status: dict[str, Any]) -> bool:
    found = instance_of(status)
    return found is not None and found["state"] == "ready"


def test_stub_in_a_guest_answers_and_is_shown_and_stops_cleanly(guest: Guest) -> None:
    process = guest.start()
    guest.wait_healthy()
    found = instance_of(guest.wait_status(is_ready, "'a' ready in the status"))
    assert found is not None
    assert (found["port"], found["restarts"]) == (GUEST_PORT, 0)
    assert guest.status()["guest"]["entrypoint"] == "running"
    assert guest.ask("stop").code == 0
    assert process.wait(END_S) == 0
    # It was the entrypoint that stopped the server, and the guest that switched itself off.
    assert "the power button was pressed" in guest.said()
    assert "a: stopped (exit code 0)" in guest.said()
    assert guest.left() == []


def test_server_that_stops_slowly_has_its_time_however_often_the_button_is_pressed(
    new_guest: Callable[..., Guest],
) -> None:
    # `stop` presses it every 10 s: no second signal for the launcher, which would kill at once.
    slow = stub_config(control={"stop_timeout_s": 15}, server={"stub_ignore_term": True})
    guest = new_guest(config=slow)
    guest.start()
    guest.wait_healthy()
    assert guest.ask("stop").code == 0
    assert "a: did not stop within 15 s: killing it" in guest.said()


def test_overrides_on_the_seed_disk_reach_the_entrypoint(
    new_guest: Callable[..., Guest],
) -> None:
    guest = new_guest()
    overrides = {"instance": {"b": {"control": {"enabled": False}}}}
    guest.write_seed(stub_config("a", "b"), overrides)
    guest.start()
    guest.wait_healthy()
    status = guest.wait_status(is_ready, "'a' ready")
    assert instance_of(status, "b") is None


def test_foreground_instance_that_ends_powers_the_guest_off_with_its_code(
    new_guest: Callable[..., Guest],
) -> None:
    control = {"background": False}
    guest = new_guest(
        config=stub_config(control=control, server={"stub_die_after": 1, "stub_code": 3})
    )
    assert guest.start().wait(BOOT_S) == 3
    assert "the entrypoint has ended with code 3: powering off" in guest.said()


def test_seed_disk_without_a_configuration_powers_the_guest_off(
    new_guest: Callable[..., Guest],
) -> None:
    guest = new_guest()
    write_seed_image(guest.seed, {"meta-data": b"{}"})
    assert guest.start().wait(BOOT_S) == 78
    assert "the seed disk holds no vllm.toml" in guest.said()


def test_one_file_boots_the_guest_and_runs_in_it(image: ImageManifest, guest: Guest) -> None:
    table = {
        "image": os.path.dirname(image.image),
        "cpus": 2,
        "memory": "size=512M,shared=on",
        "publish": [f"{guest.port}:{GUEST_PORT}"],
    }
    config = guest.write_file("vllm.toml", render_table("guest", table) + stub_config())
    unset = ("KERNEL_FILEPATH", "SYSTEM_IMAGE_FILEPATH", "CONFIG_IMAGE_FILEPATH", "CPU_COUNT",
             "MEMORY_CONFIG", "PUBLISH")  # fmt: skip
    env = {f"VLLMD_HYPERVISOR_{name}": "" for name in unset}
    process = guest.start("--config", config, env=env)
    guest.wait_healthy()
    assert guest.ask("stop").code == 0
    assert process.wait(END_S) == 0


@pytest.fixture(scope="session")
def container_image(
    image: ImageManifest, tmp_path_factory: pytest.TempPathFactory
) -> ImageManifest:
    """Return an image from a container's tarball: a root with Python, and a layer over it."""
    fsck = require_program("vm", "fsck.erofs")
    work = tmp_path_factory.mktemp("container")

    def write(path: str) -> None:
        root, layers = work / "root", [str(work / "base.tar"), str(work / "top.tar")]
        subprocess.run([fsck, f"--extract={root}", image.image], check=True, capture_output=True)
        base = ["tar", "-C", str(root), "--exclude=./opt/vllmd", "-cf", layers[0], "."]
        subprocess.run(base, check=True)
        top = [folder("opt"), file("opt/.wh.stubs"), file("etc/from-the-top-layer")]
        write_layer(layers[1], top)
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "FROM_IMAGE": "yes", "HF_TOKEN": "s3cret"}
        write_docker_archive(path, layers, env)

    archive = build_once("container.tar", image, write)
    stubs = os.path.join(os.path.dirname(os.path.dirname(__file__)), "programs")
    return build_image("--from", archive, "--add", f"{stubs}:/opt/mine/tests/programs")


def test_container_image_boots_and_serves_with_its_own_environment(
    container_image: ImageManifest, new_guest: Callable[..., Guest]
) -> None:
    config = stub_config().replace(STUBS, "/opt/mine")
    guest = new_guest(config=config, of=container_image)
    guest.start()
    guest.wait_healthy()
    assert guest.ask("stop").code == 0


def test_container_image_holds_no_secret_and_nothing_that_a_layer_removed(
    container_image: ImageManifest, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    words = ["fsck.erofs", f"--extract={root}", container_image.image]
    subprocess.run(words, check=True, capture_output=True)
    settings = json.loads((root / "etc/vllmd/image.json").read_text())
    assert settings["environment"]["FROM_IMAGE"] == "yes"
    assert "HF_TOKEN" not in settings["environment"]
    assert (root / "etc/from-the-top-layer").exists()
    assert not (root / "opt/stubs").exists()
    assert b"s3cret" not in b"".join(
        path.read_bytes() for path in (root / "etc").rglob("*") if path.is_file()
    )


@pytest.fixture(scope="session")
def debian_image(image: ImageManifest) -> ImageManifest:
    """Return an image with systemd and cloud-init."""
    del image  # for the check of tools, and after the small one
    stubs = os.path.join(os.path.dirname(os.path.dirname(__file__)), "programs")
    return build_image("--flavour", "debian", "--add", f"{stubs}:{STUBS}/tests/programs")


# systemd and cloud-init make a boot ten times as long: more so under emulation.
def test_debian_guest_serves_by_its_unit_and_stops_by_the_button(
    debian_image: ImageManifest, new_guest: Callable[..., Guest], tmp_path: Path
) -> None:
    guest = new_guest(of=copy_image(debian_image, str(tmp_path / "image")))
    process = guest.start()
    guest.wait_healthy(2 * BOOT_S)
    guest.wait_status(is_ready, "'a' ready in the status")
    assert guest.ask("stop").code == 0
    assert process.wait(END_S) == 0
