"""What `vllmd render compose` writes, brought up by docker compose as it is."""

from __future__ import annotations

import json
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import Commands
from tests.support.containers import PYTHON, START_S
from tests.support.launching import PROGRAMS, STUB, Stub, render_table
from tests.support.rendering import require_tool
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)


class Project:
    """A compose project in a folder."""

    def __init__(self, program: str, folder: Path) -> None:
        self.words = [program, "-p", f"vllmd-test-{uuid.uuid4().hex[:8]}"]
        self.words += ["-f", str(folder / "compose.yaml"), "-f", str(folder / "stub.json")]

    def run(self, *words: str) -> str:
        """Run a command of docker compose to its end; return what it printed."""
        done = subprocess.run(
            [*self.words, *words], capture_output=True, text=True, check=False, timeout=START_S
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def service(self) -> Any:
        """Return the state of the one service."""
        return json.loads(self.run("ps", "--all", "--format", "json").splitlines()[0])


@pytest.fixture
def project(image: str, tmp_path: Path) -> Iterator[Project]:
    config = tmp_path / "stub.toml"
    stub = Stub(control={"gpu_ids": "none", "log_dir": "/var/log/vllm"})
    master = {"python": PYTHON, "api_server_module": STUB}
    config.write_text(render_table("master", master) + stub.render())
    done = Commands(tmp_path).run("render", "compose", "stub.toml", "-o", "out", "--image", image)
    assert done.code == 0, done.err
    # Only the stub itself, which no image has.
    service = {"volumes": [f"{PROGRAMS}:/stub/tests/programs:ro"]}
    inside = {**service, "environment": {"PYTHONPATH": "/stub"}}
    (tmp_path / "out" / "stub.json").write_text(json.dumps({"services": {"stub": inside}}))
    found = Project(require_tool("docker", "docker-compose"), tmp_path / "out")
    yield found
    found.run("down", "--volumes")


def test_rendered_project_comes_up_healthy_and_stops_in_its_grace(project: Project) -> None:
    project.run("up", "-d")
    wait_until(
        lambda: "healthy after" in project.run("logs", "--no-color"), "a healthy server", START_S
    )
    assert project.run("exec", "-T", "stub", "ls", "/logs").split() == ["vllm-server-a.log"]
    assert "ready" in project.run("exec", "-T", "stub", "vllmd", "status")
    project.run("stop")
    state = project.service()
    assert (state["State"], state["ExitCode"]) == ("exited", 0)
