"""The image's ENTRYPOINT as PID 1 of a real container: exit codes, signals, orphans."""

from __future__ import annotations

import pytest

from tests.support.containers import Boxes, Wish, pids_in_container
from tests.support.launching import Stub

pytestmark = pytest.mark.timeout(180)


def test_stopped_container_ends_with_0_and_leaves_nothing(boxes: Boxes) -> None:
    box = boxes.start(Stub(server={"stub_daemon": True, "stub_child": True}))
    box.wait_healthy()
    container_id = box.details()["Id"]
    assert len(pids_in_container(container_id)) == 4
    assert box.stop() == 0
    assert pids_in_container(container_id) == []
    assert "vllmd: a: stopped (exit code 0)" in box.said()


def test_image_without_configuration_and_command_ends_with_64(boxes: Boxes) -> None:
    box = boxes.run(Wish())
    assert box.wait() == 64
    assert box.stderr() == (
        "error: no configuration: no file was named, and AUTO_INFER_VLLM_CONFIG is not set\n"
        "hint: name a TOML file, or export AUTO_INFER_VLLM_CONFIG=/path/to/vllm.toml\n"
    )


def test_wrong_configuration_ends_with_78_and_starts_nothing(boxes: Boxes) -> None:
    box = boxes.start(Stub(control={"gpu_ids": "0,,1"}))
    assert box.wait() == 78
    assert "started (pid" not in box.stderr()
