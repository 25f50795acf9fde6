"""The client finds what the running launcher has started, without being told where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.launching import Launcher, Stub
from tests.support.wait import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

import pytest


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.clean()


def test_generate_asks_the_instance_of_the_running_launcher(
    launcher: Launcher, tmp_path: Path
) -> None:
    socket = tmp_path / "control.sock"
    stub = Stub(name="chat", server={"served_model_name": "demo"})
    run = launcher.start_words(
        str(launcher.write(stub)),
        "--set",
        f"master.control_socket={json.dumps(str(socket))}",
    )
    run.wait_healthy("chat")
    environ = {**os.environ, "VLLMD_SOCKET": str(socket)}
    environ.pop("AUTO_INFER_VLLM_CONFIG", None)
    done = subprocess.run(
        [sys.executable, "-m", "launcher", "generate", "chat", "Hello"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
