"""Arbitrary users, read-only roots, no network, little memory: it starts, or says why not."""

from __future__ import annotations

import pytest

from tests.support.containers import Boxes, Wish
from tests.support.launching import Stub

pytestmark = pytest.mark.timeout(600)

TO_TMP = {"AUTO_INFER_VLLM_OVERRIDES": '{"instance": {"control": {"log_dir": "/tmp"}}}'}
CONFINED = {
    "user": "12345:12345",
    "read_only": True,
    "network_mode": "none",
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 128,  # threads count, and each `docker exec` has some for every processor
    "shm_size": "1g",
}


@pytest.mark.parametrize("user", ["12345", "12345:12345", "0"])
def test_any_user_may_run_it(boxes: Boxes, user: str) -> None:
    box = boxes.start(Stub(), wish=Wish(options={"user": user}))
    box.wait_healthy()
    assert "warning" not in box.stderr()
    assert box.status()["state"] == "ready"
    assert box.exec("vllmd", "status", user="0")[0] == 0
    assert box.stop() == 0


def test_no_network_is_needed(boxes: Boxes) -> None:
    box = boxes.start(Stub(), wish=Wish(options={"network_mode": "none"}))
    box.wait_healthy()
    assert box.stop() == 0


def test_everything_taken_away_but_a_folder_for_temporary_files_suffices(boxes: Boxes) -> None:
    box = boxes.start(Stub(), wish=Wish(options=CONFINED, tmpfs={"/tmp": ""}))  # noqa: S108
    box.wait_healthy()
    assert "warning" not in box.stderr()
    assert box.status()["state"] == "ready"
    assert box.stop() == 0


def test_read_only_root_for_logs_is_told_and_ends_with_78(boxes: Boxes) -> None:
    box = boxes.start(Stub(), wish=Wish(environ=TO_TMP, options={"read_only": True}))
    assert box.wait() == 78
    fault = "cannot be made: '/tmp' is on a read-only file system"
    assert f"the log '/tmp/vllm-server-a.log' {fault}" in box.stderr()
    assert "hint: give another log_dir or log_file" in box.stderr()


def test_read_only_root_without_temporary_folder_starts_and_is_told(boxes: Boxes) -> None:
    box = boxes.start(Stub(), wish=Wish(options={"read_only": True}))
    box.wait_healthy()
    said = box.stderr()
    assert "warning: no folder for temporary files can be written" in said
    assert "hint: docker run --tmpfs /tmp" in said
    assert "no control socket, so no 'vllmd status': /run/vllmd: read-only file system" in said
    assert box.stop() == 0


def test_small_shared_memory_is_told(boxes: Boxes) -> None:
    box = boxes.start(Stub(), wish=Wish(options={"shm_size": "1m"}))
    box.wait_healthy()
    box.wait_for("warning: /dev/shm has 1 MiB, a server may need 64 MiB")
    box.wait_for("hint: docker run --shm-size=1g")


def test_shared_memory_that_the_engine_gives_is_told_to_be_too_small_for_a_cpu(
    boxes: Boxes,
) -> None:
    box = boxes.start(Stub(control={"gpu_ids": "none"}))
    box.wait_for("warning: /dev/shm has 64 MiB, a server on the CPU may need 160 MiB")


def test_log_folder_of_another_user_is_told_and_ends_with_78(boxes: Boxes) -> None:
    logs = boxes.folder / "logs"
    logs.mkdir(mode=0o755)
    wish = Wish(volumes={str(logs): "/logs:rw"}, options={"user": "12345"})
    box = boxes.start(Stub(), wish=wish)
    assert box.wait() == 78
    assert "'/logs' cannot be written by this user" in box.stderr()


def test_configuration_that_the_user_cannot_read_is_told(boxes: Boxes) -> None:
    boxes.write(Stub()).chmod(0o600)
    box = boxes.start(Stub(), wish=Wish(options={"user": "12345"}))
    assert box.wait() == 78
    assert "this file cannot be read by this user" in box.stderr()
