"""`vllmd sleep` and `vllmd wake`, with a server that has vLLM's pages for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.launching import Stub
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from tests.support.launching import Asked, Launcher


def order(launcher: Launcher, *words: str) -> Asked:
    return launcher.ask(*words, "--socket", launcher.socket())


@pytest.mark.parametrize("server", [{}, {"uds": ""}])
def test_server_is_told_to_sleep_and_to_wake(
    launcher: Launcher, server: dict[str, object], tmp_path: object
) -> None:
    server = dict.fromkeys(server, f"{tmp_path}/server.sock")
    run = launcher.start(Stub(server={"stub_sleeps": True, **server}))
    run.wait_healthy()
    launcher.wait_state("ready")
    assert order(launcher, "sleep", "a").stdout == "'a' sleeps\n"
    assert order(launcher, "sleep", "--level", "2", "a").code == 0
    assert order(launcher, "wake", "a").stdout == "'a' is awake\n"
    pages = ("/sleep?level=1", "/sleep?level=2", "/wake_up")
    asked = "".join(f"asked for {page}\n" for page in pages)
    wait_until(lambda: run.log().read_text().endswith(asked), "each order, once")


def test_server_that_cannot_sleep_is_explained(launcher: Launcher) -> None:
    run = launcher.start(Stub())
    run.wait_healthy()
    launcher.wait_state("ready")
    asked = order(launcher, "sleep", "a")
    assert asked.code == 71
    assert "'a' cannot sleep" in asked.stderr
    assert "VLLM_SERVER_DEV_MODE = 1 in [instance.a.env]" in asked.stderr
    unknown = order(launcher, "wake", "b")
    assert (unknown.code, "there is no instance 'b'\nhint: known here: a" in unknown.stderr) == (
        64, True,
    )  # fmt: skip


def test_server_that_does_not_run_is_not_told(launcher: Launcher) -> None:
    run = launcher.start(Stub(), Stub(name="b"))
    run.wait_healthy("a", "b")
    assert order(launcher, "stop", "--wait", "a").code == 0
    asked = order(launcher, "wake", "a")
    assert (asked.code, "'a' is not ready, but stopped" in asked.stderr) == (71, True)
