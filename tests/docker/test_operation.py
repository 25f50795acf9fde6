"""Operating a container: `docker exec`, logs on a volume, restarts, several containers."""

from __future__ import annotations

import json
import urllib.request

import pytest

from tests.support.containers import Boxes, Wish
from tests.support.launching import Stub
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(600)


def test_status_is_shown_by_exec(boxes: Boxes) -> None:
    box = boxes.start(Stub())
    box.wait_healthy()
    code, text = box.exec("vllmd", "status")
    assert code == 0
    assert ", pid 1, " in text
    assert "/model-configs/vllm.toml: 1 of 1 ready" in text


def test_server_is_stopped_and_started_by_exec(boxes: Boxes) -> None:
    box = boxes.start(Stub(), Stub(name="b"))
    box.wait_healthy("a", "b")
    assert box.exec("vllmd", "stop", "--wait", "a")[0] == 0
    assert box.status()["state"] == "stopped"
    assert box.exec("vllmd", "start", "--wait", "a")[0] == 0
    assert box.status()["state"] == "ready"


def test_changed_file_is_taken_at_reload(boxes: Boxes) -> None:
    stub = Stub()
    box = boxes.start(stub)
    box.wait_healthy()
    path = boxes.write(Stub(port=stub.port, server={"stub_say": "anew"}))
    assert path.read_text().count("anew") == 1
    assert box.exec("vllmd", "reload") == (0, "a: restarts with new settings\n")
    wait_until(lambda: "anew" in box.exec("vllmd", "logs", "a")[1], "the new words in the log")


def test_hangup_reads_the_file_again(boxes: Boxes) -> None:
    stub = Stub()
    box = boxes.start(stub)
    box.wait_healthy()
    boxes.write(stub, Stub(name="b"))
    box.signal("HUP")
    box.wait_healthy("b")
    assert box.stop() == 0


def test_logs_are_on_the_volume_when_the_container_has_gone(boxes: Boxes) -> None:
    logs = boxes.folder / "logs"
    logs.mkdir()
    logs.chmod(0o777)
    wish = Wish(volumes={str(logs): "/logs:rw"})
    box = boxes.start(Stub(server={"stub_say": "hello"}), wish=wish)
    box.wait_healthy()
    shown = (0, "hello\nlistening\n")
    wait_until(lambda: box.exec("vllmd", "logs", "a") == shown, "both lines in the log")
    box.stop()
    boxes.clean()
    assert (logs / "vllm-server-a.log").read_text() == "hello\nlistening\n"


def test_killed_server_is_started_again(boxes: Boxes) -> None:
    box = boxes.start(Stub(control={"restart": "on-failure"}))
    box.wait_healthy()
    former = box.status()["pid"]
    assert box.exec("sh", "-c", f"kill -9 {former}")[0] == 0
    wait_until(lambda: box.status()["state"] == "ready" and box.status()["restarts"] == 1,
               "the server to be ready again")  # fmt: skip
    assert box.status()["pid"] != former
    box.wait_reaped()
    assert box.stop() == 0


def test_server_is_reached_over_the_published_port(boxes: Boxes) -> None:
    stub = Stub(port=8000, server={"host": "0.0.0.0", "served_model_name": "x"})  # noqa: S104
    box = boxes.start(stub, wish=Wish(ports=[8000]))
    box.wait_healthy()
    with urllib.request.urlopen(f"http://127.0.0.1:{box.port(8000)}/v1/models") as answer:
        assert json.load(answer)["data"][0]["id"] == "x"


def test_two_containers_with_one_configuration_do_not_meet(boxes: Boxes) -> None:
    cache = boxes.folder / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    wish = Wish(volumes={str(cache): "/cache:rw"})
    stub = Stub()
    first, second = (boxes.start(stub, wish=wish) for _ in range(2))
    first.wait_healthy()
    second.wait_healthy()
    assert second.exec("vllmd", "stop", "--wait", "a")[0] == 0
    assert (first.status()["state"], second.status()["state"]) == ("ready", "stopped")
    assert first.stop() == 0


def test_two_containers_on_the_network_of_the_host_cannot_share_a_port(boxes: Boxes) -> None:
    stub = Stub()
    first = boxes.start(stub, wish=Wish(options={"network_mode": "host"}))
    first.wait_healthy()
    second = boxes.start(stub, wish=Wish(options={"network_mode": "host"}))
    assert second.wait() == 71
    assert f"port {stub.port} on 127.0.0.1: address already in use" in second.stderr()
    assert first.is_running()
