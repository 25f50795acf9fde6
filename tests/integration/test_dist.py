"""The launcher in one file: the same bytes each time, and it needs nothing but a Python."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from launcher import __version__
from tests.support.launching import ROOT, STUB, Run, Stub, can_bind, render_table
from tests.support.require import skip_or_fail
from tests.support.wait import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUILDER = os.path.join(ROOT, "tools", "build_pyz.py")
# The interpreter below any virtual environment, without its packages: as in a bare image.
BARE = (os.path.realpath(sys.executable), "-I", "-S")
ENVIRON = {"PATH": "/usr/bin:/bin"}

pytestmark = pytest.mark.timeout(120)  # the first test may fetch wheels


def build(output: Path, **env: str) -> bytes:
    words = [sys.executable, BUILDER, "--output", str(output)]
    done = subprocess.run(
        words, env={**os.environ, **env}, cwd=output.parent,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "cannot fetch" in done.stderr:
        skip_or_fail("integration", "the wheels of tomli and deepmerge cannot be fetched by pip")
    assert done.returncode == 0, done.stderr
    return output.read_bytes()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("dist") / "vllmd.pyz"
    build(output)
    return output


@pytest.fixture
def alone(built: Path, tmp_path: Path) -> Path:
    """Copy the file, and nothing else, into an empty folder."""
    folder = tmp_path / "alone"
    folder.mkdir()
    shutil.copy(built, folder / "vllmd.pyz")
    return folder / "vllmd.pyz"


def ask(pyz: Path, *words: str) -> str:
    done = subprocess.run(
        [*BARE, str(pyz), *words], env=ENVIRON, cwd=pyz.parent,
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def write_config(folder: Path, stub: Stub) -> str:
    path = folder / "vllm.toml"
    head = {"python": sys.executable, "api_server_module": STUB}
    control = {"log_dir": str(folder / "logs")}
    path.write_text(
        render_table("master", head) + render_table("instance.control", control) + stub.render()
    )
    return path.name


@pytest.fixture
def stub() -> Stub:
    return Stub(env={"PYTHONPATH": ROOT})


def test_build_gives_the_same_bytes_each_time(built: Path, tmp_path: Path) -> None:
    again = build(tmp_path / "again.pyz", PYTHONHASHSEED="7", TZ="Asia/Tokyo", PYTHONOPTIMIZE="2")
    assert again == built.read_bytes()


def test_build_can_be_executed(alone: Path) -> None:
    assert os.access(alone, os.X_OK)
    assert alone.read_bytes().startswith(b"#!/usr/bin/env python3\n")


def test_one_file_shows_its_version(alone: Path) -> None:
    assert ask(alone, "--version") == f"vllmd {__version__}\n"


def test_one_file_by_the_other_name_is_the_hypervisor(alone: Path) -> None:
    link = alone.with_name("vllmd-hypervisor")
    link.symlink_to(alone.name)
    assert ask(link, "--version") == f"vllmd-hypervisor {__version__}\n"
    # Nothing runs: 3, as of every init script.
    environ = {**ENVIRON, "XDG_RUNTIME_DIR": str(alone.parent), "VLLMD_HYPERVISOR_NAME": "nobody"}
    done = subprocess.run(
        [*BARE, str(link), "status"], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (3, "nobody: stopped\n")


def test_one_file_runs_by_a_relative_path(alone: Path) -> None:
    done = subprocess.run(
        [*BARE, "vllmd.pyz", "explain", "max_model_len"],
        env=ENVIRON, cwd=alone.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("max_model_len: ")


def test_one_file_without_bytecode_of_this_python_runs_from_source(alone: Path) -> None:
    magic = importlib.util.MAGIC_NUMBER
    data = alone.read_bytes()
    assert data.count(magic + b"\1\0\0\0") > 50
    alone.write_bytes(data.replace(magic + b"\1\0\0\0", b"\0\0\r\n\1\0\0\0"))
    assert ask(alone, "--version") == f"vllmd {__version__}\n"


def test_one_file_checks_and_plans(alone: Path, stub: Stub) -> None:
    config = write_config(alone.parent, stub)
    assert ask(alone, "check", config) == "ok: would start a\n"
    (instance,) = json.loads(ask(alone, "plan", config, "--format", "json"))["instances"]
    assert instance["argv"][:3] == [sys.executable, "-m", STUB]


def test_one_file_knows_the_options_of_vllm(alone: Path) -> None:
    schema = json.loads(ask(alone, "schema"))
    assert "max_model_len" in schema["definitions"]["server"]["properties"]


@pytest.fixture
def run(alone: Path, stub: Stub) -> Iterator[Run]:
    words = [*BARE, str(alone), "run", write_config(alone.parent, stub)]
    environ = {**ENVIRON, "XDG_RUNTIME_DIR": str(alone.parent)}  # for the control socket
    run = Run(words, alone.parent, environ, None)
    yield run
    run.process.kill()
    run.process.wait(PATIENCE_S)


def test_one_file_starts_and_stops_a_server(run: Run, stub: Stub) -> None:
    run.wait_healthy()
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert can_bind(stub.port)
    assert run.said()[-1] == "vllmd: a: stopped (exit code 0)"


def test_one_file_sends_the_fork_server_out_of_itself(alone: Path, stub: Stub) -> None:
    config = write_config(alone.parent, stub)
    words = [*BARE, str(alone), "run", config, "--set", 'master.start_mode="fork"']
    run = Run(words, alone.parent, {**ENVIRON, "XDG_RUNTIME_DIR": str(alone.parent)}, None)
    try:
        run.wait_healthy()
        assert "forked, waiting for" in run.stderr()
        run.signal(signal.SIGTERM)
        assert run.wait() == 0
    finally:
        run.process.kill()
        run.process.wait(PATIENCE_S)
