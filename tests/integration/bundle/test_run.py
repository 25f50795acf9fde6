"""`vllmd run` with AUTO_INFER_VLLM_BUNDLE_PATH: the bundle first, then the servers in it."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.bundles import Bundle, sha256_of
from tests.support.commands import Commands
from tests.support.launching import STUB, Launcher, Run, Stub
from tests.support.pixi import STANDIN, write_program
from tests.support.processes import read_proc
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = 78
HANG = 'case "$1" in --version) echo pixi 0.77.0;; *) echo $$ > FOLDER/half; exec sleep 1000;; esac'


@pytest.fixture
def tar(tmp_path: Path, bundle: Bundle) -> Path:
    """A bundle, and the stand-in for pixi to run servers with."""
    words = shlex.join([sys.executable, "-I", STANDIN])
    write_program(tmp_path / "tools/pixi", f'exec {words} "$@"')
    return bundle.write(tmp_path / "bundle.tar")


def start(launcher: Launcher, tar: Path, launch: str = "hook", **env: str) -> Run:
    master = {"pixi_project_dir": str(launcher.folder / "app"), "pixi_launch": launch}
    variables = {
        "PATH": f"{launcher.folder}/tools:{os.environ['PATH']}",
        "AUTO_INFER_VLLM_BUNDLE_PATH": str(tar),
        "AUTO_INFER_VLLM_BUNDLE_SHA256": sha256_of(tar),
        **env,
    }
    python = {"python": sys.executable, "api_server_module": STUB}
    return launcher.start(Stub(), master={**python, **master}, env=variables)


@pytest.mark.parametrize("launch", ["run", "hook"])
def test_servers_run_in_the_bundle_that_was_installed(
    launcher: Launcher, tar: Path, launch: str
) -> None:
    run = start(launcher, tar, launch)
    run.wait_healthy()
    assert "vllmd: bundle: installed into " in run.stderr()
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert launcher.left() == []


def test_servers_run_in_the_bundle_without_any_pixi(launcher: Launcher, tar: Path) -> None:
    (launcher.folder / "tools/pixi").unlink()
    run = start(launcher, tar)
    run.wait_healthy()
    assert "by py-rattler" in run.stderr()


def test_second_start_installs_nothing(launcher: Launcher, tar: Path) -> None:
    for said in ("installed into ", "has it already: "):
        run = start(launcher, tar)
        run.wait_healthy()
        assert said in run.stderr()
        run.signal(signal.SIGTERM)
        assert run.wait() == 0


def test_bad_bundle_starts_nothing(launcher: Launcher, tar: Path) -> None:
    run = start(launcher, tar, AUTO_INFER_VLLM_BUNDLE_SHA256="0" * 64)
    assert run.wait() == CONFIG
    assert "has the SHA-256" in run.stderr()
    assert "started (pid" not in run.stderr()


def test_bundle_without_a_folder_for_it_is_refused(launcher: Launcher, tar: Path) -> None:
    run = launcher.start(Stub(), env={"AUTO_INFER_VLLM_BUNDLE_PATH": str(tar)})
    assert run.wait() == CONFIG
    assert "nothing says where to install the bundle" in run.stderr()
    assert "hint: set pixi_project_dir in [master]\n" in run.stderr()  # `run` has no --into


def test_bundle_without_a_configuration_is_told_and_the_command_runs(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "print('here')")
    env = {"AUTO_INFER_VLLM_BUNDLE_PATH": "/data/bundle.tar"}
    done = Commands(tmp_path).run("run", "--", *command, env=env)
    assert (done.code, done.out) == (0, "here\n")
    assert done.err.startswith(
        "warning: AUTO_INFER_VLLM_BUNDLE_PATH: nothing is installed: without a configuration "
    )


def test_launcher_that_is_disabled_installs_nothing(launcher: Launcher, tar: Path) -> None:
    master = {"enable": False, "pixi_project_dir": str(launcher.folder / "app")}
    env = {"AUTO_INFER_VLLM_BUNDLE_PATH": str(tar)}
    assert launcher.start(Stub(), master=master, env=env).wait() == 0
    assert not (launcher.folder / "app").exists()


def hang(launcher: Launcher, tar: Path) -> Run:
    """Start with a pixi that never ends, and wait until it installs."""
    script = HANG.replace("FOLDER", str(launcher.folder))
    write_program(launcher.folder / "tools/pixi", script)
    run = start(launcher, tar)
    wait_until((launcher.folder / "half").exists, "pixi installs")
    return run


def installer(launcher: Launcher) -> int:
    """Return the pid of the `vllmd bundle install` that a launcher has started."""
    words = b"\0bundle\0install\0"
    (pid,) = [each for each in launcher.left() if words in read_proc(each, "cmdline")]
    return pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_while_installing_ends_in_good_order(
    launcher: Launcher, tar: Path, number: int
) -> None:
    run = hang(launcher, tar)
    run.signal(number)
    assert run.wait() == 0
    assert "stopping the installation" in run.stderr()
    assert launcher.left() == []
    assert [each.name for each in (launcher.folder / "app/.vllmd").iterdir()] == ["lock"]


def test_second_stop_while_installing_is_for_now(launcher: Launcher, tar: Path) -> None:
    run = hang(launcher, tar)
    os.kill(installer(launcher), signal.SIGSTOP)  # it would heed the first one
    run.signal(signal.SIGTERM)
    run.wait_for("got SIGTERM: stopping the installation\n")
    run.signal(signal.SIGTERM)
    assert run.wait() == 137
    wait_until(lambda: launcher.left() == [], "nobody is left")


def test_installation_ends_with_a_launcher_that_is_killed(launcher: Launcher, tar: Path) -> None:
    run = hang(launcher, tar)
    run.signal(signal.SIGKILL)
    run.wait()
    wait_until(lambda: launcher.left() == [], "nobody is left")
