"""What the image says about itself, and its HEALTHCHECK."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.containers import START_S, Boxes, Wish
from tests.support.images import build_image
from tests.support.launching import ROOT, Stub
from tests.support.pixi_mirror import VERSION, Mirror
from tests.support.rendering import require_tool
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

SECOND_NS = 1_000_000_000
OFTEN = {"interval": SECOND_NS, "timeout": 30 * SECOND_NS, "retries": 2, "start_period": SECOND_NS}


def test_image_runs_the_launcher_as_a_user_without_privileges(engine: Any, image: str) -> None:
    config = engine.images.get(image).attrs["Config"]
    assert config["Entrypoint"] == ["vllmd", "run", "--"]
    assert not config["Cmd"]  # the base image has one
    assert config["User"] == "1000:0"
    assert config["StopSignal"] == "SIGTERM"
    assert set(config["Volumes"]) == {"/cache", "/logs", "/model-configs"}


def test_image_says_what_it_is(engine: Any, base: str, pyz: object) -> None:
    assert pyz
    name = build_image(engine, base, "labelled", VERSION="1.2.3", REVISION="abc")
    labels = engine.images.get(name).labels
    assert labels["org.opencontainers.image.title"] == "vllmd"
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["org.opencontainers.image.revision"] == "abc"
    assert labels["org.opencontainers.image.base.name"] == base
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_container_is_healthy_once_its_servers_are(boxes: Boxes) -> None:
    box = boxes.start(Stub(), wish=Wish(options={"healthcheck": OFTEN}))
    wait_until(lambda: box.health() == "healthy", "the container to be healthy", START_S)
    assert box.status()["state"] == "ready"
    assert any("1 of 1 ready" in said for said in box.checks())


def test_container_whose_servers_load_is_not_yet_unhealthy(boxes: Boxes) -> None:
    patient = {**OFTEN, "start_period": 600 * SECOND_NS}
    wish = Wish(options={"healthcheck": patient})
    box = boxes.start(Stub(server={"stub_hang": True}), wish=wish)
    wait_until(lambda: len(box.checks()) > OFTEN["retries"], "several checks", START_S)
    assert box.health() == "starting"


def test_container_is_unhealthy_when_a_server_has_failed(boxes: Boxes) -> None:
    stubs = (Stub(server={"stub_die": 3}), Stub(name="b"))
    box = boxes.start(*stubs, wish=Wish(options={"healthcheck": OFTEN}))
    wait_until(lambda: "failed" in "".join(box.checks()[-1:]), "a check to tell why", START_S)
    wait_until(lambda: box.health() == "unhealthy", "the container to be unhealthy", START_S)


def test_image_checks_its_host_for_guests(boxes: Boxes) -> None:
    # As docs/hypervisor.md has it; what is found is the machine's own affair.
    command = ("vllmd-hypervisor", "precheck", "--json", "--root", "/host")
    box = boxes.run(Wish(command=command, volumes={"/": "/host:ro"}))
    assert box.wait() in {0, 69}
    assert "cpu-virtualisation" in {each["name"] for each in json.loads(box.stdout())["checks"]}


def test_container_with_a_command_only_is_healthy(boxes: Boxes) -> None:
    box = boxes.run(Wish(command=("sleep", "600"), options={"healthcheck": OFTEN, "init": True}))
    wait_until(lambda: box.health() == "healthy", "the container to be healthy", START_S)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    with Mirror(tmp_path).served() as mirror:
        yield mirror


def test_image_has_the_pixi_that_was_asked_for(
    engine: Any, base: str, image: str, mirror: Mirror, tmp_path: Path
) -> None:
    assert image  # whose layers are taken
    wanted = {"PIXI_VERSION": VERSION, "PIXI_RELEASES": mirror.url}
    name = build_image(engine, base, "pixi", PIXI_SHA256=mirror.sha256, **wanted)
    boxes = Boxes(engine, name, tmp_path)
    box = boxes.run(Wish(options={"entrypoint": ["pixi", "--version"]}))
    assert (box.wait(), box.stdout()) == (0, "pixi 9.9.9\n")
    boxes.clean()
    with pytest.raises(AssertionError, match="has the checksum"):
        build_image(engine, base, "pixi", PIXI_SHA256="0" * 64, **wanted)


def test_compose_file_is_taken_by_docker_compose() -> None:
    program = require_tool("docker", "docker-compose")
    path = os.path.join(ROOT, "dockers", "infer-dev", "compose.yaml")
    done = subprocess.run(
        [program, "-f", path, "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "OVERRIDES": '{"a": "b"}'},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    service = json.loads(done.stdout)["services"]["vllm"]
    assert service["environment"]["AUTO_INFER_VLLM_OVERRIDES"] == '{"a": "b"}'
    assert service["stop_grace_period"] == "1m30s"
