"""The image's ENTRYPOINT as PID 1 of a real container: exit codes, signals, orphans."""

from __future__ import annotations

import pytest

from tests.support.containers import Boxes, Wish, pids_in_container
from tests.support.launching import Stub
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(600)

ORPHANS = "for n in 1 2 3 4 5; do (sleep 0.5 & sleep 0.2 &) ; done; exec sleep 600"
ON_USR1 = "trap 'echo got-USR1; exit 6' USR1; echo ready; while :; do sleep 0.05; done"


@pytest.fixture(params=[False, True], ids=["as-pid-1", "with-init"])
def options(request: pytest.FixtureRequest) -> dict[str, object]:
    """Return the engine's options: ours is process 1, or the engine's own init is."""
    return {"init": request.param}


def test_stopped_container_ends_with_0_and_leaves_nothing(
    boxes: Boxes, options: dict[str, object]
) -> None:
    stub = Stub(server={"stub_daemon": True, "stub_child": True})
    box = boxes.start(stub, wish=Wish(options=options))
    box.wait_healthy()
    container_id = box.details()["Id"]
    assert len(pids_in_container(container_id)) == 4 + bool(options["init"])
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


def test_wrong_configuration_ends_with_78_and_starts_nothing(
    boxes: Boxes, options: dict[str, object]
) -> None:
    box = boxes.start(Stub(control={"gpu_ids": "0,,1"}), wish=Wish(options=options))
    assert box.wait() == 78
    assert "started (pid" not in box.stderr()


def test_broken_overrides_end_with_78(boxes: Boxes) -> None:
    box = boxes.start(Stub(), wish=Wish(environ={"AUTO_INFER_VLLM_OVERRIDES": "{"}))
    assert box.wait() == 78
    assert box.stderr().startswith("error: AUTO_INFER_VLLM_OVERRIDES:1:")


def test_overrides_change_what_is_started(boxes: Boxes) -> None:
    overrides = '{"instance": {"a": {"control": {"enabled": false}}}}'
    environ = {"AUTO_INFER_VLLM_OVERRIDES": overrides}
    box = boxes.start(Stub(), Stub(name="b"), wish=Wish(environ=environ))
    box.wait_healthy("b")
    assert " a: " not in box.stderr()


def test_command_is_the_main_program_and_its_code_the_containers(
    boxes: Boxes, options: dict[str, object]
) -> None:
    command = ("sh", "-c", "echo here; exit 42")
    box = boxes.start(Stub(), wish=Wish(command=command, options=options))
    assert box.wait() == 42
    assert box.stdout() == "here\n"
    assert "vllmd: a: stopped" in box.said()[-1]


def test_command_without_configuration_is_process_1_itself(boxes: Boxes) -> None:
    box = boxes.run(Wish(command=("sh", "-c", "echo $$; exit 7")))
    assert box.wait() == 7
    assert (box.stdout(), box.stderr()) == ("1\n", "")


def test_command_held_back_starts_when_all_are_healthy(boxes: Boxes) -> None:
    entrypoint = ["vllmd", "run", "--wait-ready", "--"]
    wish = Wish(command=("echo", "here"), options={"entrypoint": entrypoint})
    box = boxes.start(Stub(server={"stub_slow": 1}), wish=wish)
    assert box.wait() == 0
    assert box.stderr().index("a: healthy after") < box.stderr().index("main program: started")


def test_stopped_main_program_gives_143(boxes: Boxes, options: dict[str, object]) -> None:
    box = boxes.start(Stub(), wish=Wish(command=("sleep", "600"), options=options))
    box.wait_healthy()
    assert box.stop() == 143
    assert "vllmd: a: stopped (exit code 0)" in box.said()


def test_killed_main_program_gives_137(boxes: Boxes) -> None:
    box = boxes.start(Stub(), wish=Wish(command=("sh", "-c", "kill -9 $$")))
    assert box.wait() == 137


def test_signal_is_passed_on_to_the_main_program(boxes: Boxes, options: dict[str, object]) -> None:
    box = boxes.start(Stub(), wish=Wish(command=("sh", "-c", ON_USR1), options=options))
    wait_until(lambda: "ready" in box.stdout(), "the main program to be ready")
    box.signal("USR1")
    assert box.wait() == 6
    assert box.stdout() == "ready\ngot-USR1\n"


def test_second_signal_means_now(boxes: Boxes, options: dict[str, object]) -> None:
    stub = Stub(server={"stub_ignore_term": True}, control={"stop_timeout_s": 600})
    box = boxes.start(stub, wish=Wish(options=options))
    box.wait_healthy()

    def is_told_once_more() -> bool:  # what follows at once is an echo of the first
        box.signal("TERM")
        return not box.is_running()

    wait_until(is_told_once_more, "the end")
    assert box.wait() == 137


def test_server_that_does_not_stop_in_time_gives_137(boxes: Boxes) -> None:
    stub = Stub(server={"stub_ignore_term": True}, control={"stop_timeout_s": 0.5})
    box = boxes.start(stub)
    box.wait_healthy()
    assert box.stop() == 137
    assert any("a: did not stop within 0.5 s" in line for line in box.said())


def test_foreground_server_decides_the_code_and_is_seen_on_stdout(boxes: Boxes) -> None:
    front = Stub(
        name="front",
        control={"background": False},
        server={"stub_die_after": 1, "stub_code": 9},
    )
    box = boxes.start(front, Stub(name="back"))
    assert box.wait() == 9
    assert "listening" in box.stdout()
    # By then it may not have begun to heed SIGTERM.
    assert any(line.startswith("vllmd: back: stopped (") for line in box.said())


def test_orphans_are_reaped(boxes: Boxes, options: dict[str, object]) -> None:
    box = boxes.start(Stub(), wish=Wish(command=("sh", "-c", ORPHANS), options=options))
    box.wait_healthy()
    own = 3 + bool(options["init"])  # the launcher, the server, the main program
    wait_until(lambda: len(box.processes()) == own, "the orphans to be reaped")
    box.wait_reaped()


def test_shim_of_the_contract_runs_the_launcher(boxes: Boxes) -> None:
    shim = "/opt/vllmd/installation/stage-2/custom/check-and-run-vllm.sh"
    box = boxes.start(Stub(), wish=Wish(options={"entrypoint": [shim]}))
    box.wait_healthy()
    assert box.stop() == 0
    alone = boxes.run(Wish(options={"entrypoint": [shim]}))
    assert alone.wait() == 0
    assert alone.said() == [
        "check-and-run-vllm: AUTO_INFER_VLLM_CONFIG is not set: no server is started"
    ]
