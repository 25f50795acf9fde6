"""Servers in a pixi environment, by `pixi run` and by its hook: `vllmd run` with stub servers.

`pixi` is a stand-in (tests/programs/standin_pixi.py); where a real one is on PATH, the tests that
can run with it too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import Commands, Done
from tests.support.launching import STUB, Launcher, Stub, can_bind, render_table
from tests.support.pixi import PixiProject, find_real_pixi, make_project
from tests.support.processes import children_of, is_alive
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.launching import Run

BOTH = pytest.mark.parametrize("launch", ["run", "hook"])
OTHERS = "the packages called pixi on PyPI and npm are other programs"


@pytest.fixture
def project(tmp_path: Path) -> PixiProject:
    return make_project(tmp_path)


def start(
    launcher: Launcher, project: PixiProject, stub: Stub, launch: str = "run", **env: str
) -> Run:
    master = {"python": sys.executable, "api_server_module": STUB, **project.master()}
    return launcher.start(
        stub, master={**master, "pixi_launch": launch}, env={**project.path(), **env}
    )


def refuse(launcher: Launcher, project: PixiProject, launch: str = "run", **env: str) -> str:
    run = start(launcher, project, Stub(), launch, **env)
    assert run.wait() in {69, 78}
    assert "started (pid" not in run.stderr()
    return run.stderr()


def report_of(run: Run, path: Path) -> dict[str, Any]:
    run.wait_healthy()
    report: dict[str, Any] = json.loads(path.read_text())
    return report


# Start and stop


@BOTH
def test_server_in_a_pixi_environment_lives_and_stops(
    launcher: Launcher, project: PixiProject, launch: str
) -> None:
    stub = Stub()
    run = start(launcher, project, stub, launch)
    run.wait_healthy()
    assert len(launcher.left()) == (3 if launch == "run" else 2)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert launcher.left() == []
    assert can_bind(stub.port)
    assert run.said()[-1] == "vllmd: a: stopped (exit code 0)"


@BOTH
def test_server_in_a_pixi_environment_gets_its_activation(
    launcher: Launcher, project: PixiProject, launch: str, tmp_path: Path
) -> None:
    project.add_activation("export NVCC_PREPEND_FLAGS='-ccbin \"a b\"'")
    report = tmp_path / "report"
    run = start(launcher, project, Stub(server={"stub_report": str(report)}), launch)
    env = report_of(run, report)["env"]
    assert env["CONDA_PREFIX"] == str(project.prefix)
    assert env["PATH"].startswith(f"{project.prefix}/bin:")
    assert env["NVCC_PREPEND_FLAGS"] == '-ccbin "a b"'


@BOTH
def test_arguments_survive_pixi_byte_by_byte(
    launcher: Launcher, project: PixiProject, launch: str, tmp_path: Path
) -> None:
    words = ["--note", '{"a": "it\'s $HOME * {{ x }}"}', "--", "-x", ""]
    report = tmp_path / "report"
    server = {"stub_report": str(report), "extra_args": words}
    run = start(launcher, project, Stub(server=server), launch)
    assert report_of(run, report)["argv"][-len(words) :] == words


@BOTH
def test_server_that_ignores_term_is_killed_with_its_pixi(
    launcher: Launcher, project: PixiProject, launch: str
) -> None:
    stub = Stub(server={"stub_ignore_term": True}, control={"stop_timeout_s": 0.3})
    run = start(launcher, project, stub, launch)
    run.wait_healthy()
    run.signal(signal.SIGTERM)
    assert run.wait() == 137
    assert launcher.left() == []


def test_stop_reaches_the_server_once(launcher: Launcher, project: PixiProject) -> None:
    run = start(launcher, project, Stub())
    run.wait_healthy()
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert project.trace.read_text() == "SIGTERM\n"


def test_server_whose_pixi_was_killed_is_ended(launcher: Launcher, project: PixiProject) -> None:
    stub = Stub()
    run = start(launcher, project, stub)
    run.wait_healthy()
    pixi = run.pid_of()
    (server,) = children_of(pixi)
    os.kill(pixi, signal.SIGKILL)
    wait_until(lambda: not is_alive(server), "the orphan is ended")
    assert run.wait() == 137
    assert can_bind(stub.port)


@pytest.mark.parametrize(
    ("version", "said"),
    [("0.77.0", "killed by SIGKILL"), ("0.65.0", "exit code 137"), ("0.60.0", "exit code 1")],
)
def test_server_killed_behind_pixi_has_failed(
    launcher: Launcher, project: PixiProject, version: str, said: str
) -> None:
    project.use_standin(version)
    run = start(launcher, project, Stub())
    run.wait_healthy()
    (server,) = children_of(run.pid_of())
    os.kill(server, signal.SIGKILL)
    assert run.wait() == (1 if version == "0.60.0" else 137)
    assert said in run.stderr()


def test_old_pixi_that_passes_no_signal_on_leaves_nobody(
    launcher: Launcher, project: PixiProject
) -> None:
    project.use_standin("0.50.2")
    run = start(launcher, project, Stub())
    run.wait_healthy()
    assert "pixi 0.50.2 does not pass SIGTERM on" in run.stderr()
    assert "it is given --frozen --no-install instead" in run.stderr()
    run.signal(signal.SIGTERM)
    run.wait()
    assert launcher.left() == []


# Who has the last word


@BOTH
def test_leaked_pixi_environment_is_not_taken(
    launcher: Launcher, project: PixiProject, launch: str
) -> None:
    leaked = {"PIXI_IN_SHELL": "1", "PIXI_PROJECT_ROOT": project.directory}
    run = start(launcher, project, Stub(), launch, PIXI_ENVIRONMENT_NAME="other", **leaked)
    run.wait_healthy()


CUDA = '[activation.env]\nCUDA_VISIBLE_DEVICES = "7"\n'
GPU = {"gpu_ids": "0"}


def test_manifest_that_sets_the_gpus_is_warned_of(
    launcher: Launcher, project: PixiProject, tmp_path: Path
) -> None:
    project.write_manifest(CUDA)
    stub = Stub(control=GPU, server={"stub_report": str(tmp_path / "report")})
    run = start(launcher, project, stub)
    assert report_of(run, tmp_path / "report")["env"]["CUDA_VISIBLE_DEVICES"] == "7"
    said = "the pixi manifest sets 'CUDA_VISIBLE_DEVICES' in [activation.env], and under 'pixi run'"
    assert said in run.stderr()


def test_hook_gives_the_gpus_the_last_word(
    launcher: Launcher, project: PixiProject, tmp_path: Path
) -> None:
    project.write_manifest(CUDA)
    stub = Stub(control=GPU, server={"stub_report": str(tmp_path / "report")})
    run = start(launcher, project, stub, "hook")
    assert report_of(run, tmp_path / "report")["env"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert "warning" not in run.stderr()


@pytest.mark.parametrize(
    ("version", "launch"), [("0.77.0", "run"), ("0.77.0", "hook"), ("0.60.0", "hook")]
)
def test_task_called_python_is_not_taken_for_the_program(
    launcher: Launcher, project: PixiProject, version: str, launch: str
) -> None:
    project.use_standin(version)
    project.write_manifest('[tasks]\npython = "exit 9"\n')
    start(launcher, project, Stub(), launch).wait_healthy()


def test_task_called_python_is_refused_with_an_older_pixi(
    launcher: Launcher, project: PixiProject
) -> None:
    project.use_standin("0.60.0")
    project.write_manifest('[tasks]\npython = "exit 9"\n')
    said = "the manifest has a task 'python', which pixi 0.60.0 would run as the server"
    assert said in refuse(launcher, project)


# What is refused, and what is warned of


@BOTH
def test_environment_that_is_not_installed_is_refused(
    launcher: Launcher, project: PixiProject, launch: str
) -> None:
    (project.prefix / "bin/python").unlink()
    said = f"the pixi environment 'default' is not installed: no '{project.prefix}/bin/python'"
    assert said in refuse(launcher, project, launch)


@pytest.mark.parametrize(
    "script", ["echo 'Usage: pixi [OPTIONS]' >&2; exit 2", "echo pixi, version 1.0.1", "kill -9 $$"]
)
def test_another_program_called_pixi_is_refused(
    launcher: Launcher, project: PixiProject, script: str
) -> None:
    project.use_program(script)
    said = refuse(launcher, project)
    assert f"'{project.tools}/pixi' is not the package manager pixi: it does not answer" in said
    assert f"hint: put a pixi from its own releases first on PATH; {OTHERS}" in said


def test_pixi_that_never_answers_is_refused_in_time(
    launcher: Launcher, project: PixiProject
) -> None:
    project.use_program("sleep 1000 & wait")
    assert "it does not answer --version within 10 s" in refuse(launcher, project)
    wait_until(lambda: launcher.left() == [], "the killed pixi and its child are gone")


@BOTH
def test_environment_that_is_not_utf8_is_refused(
    launcher: Launcher, project: PixiProject, launch: str
) -> None:
    said = refuse(launcher, project, launch, NAME=os.fsdecode(b"\xff"))
    assert "the variable 'NAME' is not UTF-8, and pixi fails in such an environment" in said


def test_manifest_that_is_not_toml_is_refused(launcher: Launcher, project: PixiProject) -> None:
    project.write_manifest("[tasks\n")
    said = f"the pixi manifest '{project.directory}/pixi.toml' cannot be used: it is not TOML"
    assert said in refuse(launcher, project)


def test_hook_that_fails_is_refused_in_pixis_words(
    launcher: Launcher, project: PixiProject
) -> None:
    project.use_program(
        'case "$1" in --version) echo pixi 0.77.0;; *) echo "Error:   x broken lock" >&2; exit 1;;'
        " esac"
    )
    said = refuse(launcher, project, "hook")
    assert "'pixi shell-hook' gave no environment: x broken lock" in said
    assert f"hint: try it: {project.tools}/pixi shell-hook --json --as-is" in said


def test_hook_whose_answer_is_no_environment_is_refused(
    launcher: Launcher, project: PixiProject
) -> None:
    project.use_program('case "$1" in --version) echo pixi 0.77.0;; *) echo "[]";; esac')
    said = "its answer is not understood: it has no 'environment_variables'"
    assert said in refuse(launcher, project, "hook")


def test_project_that_was_moved_is_warned_of(launcher: Launcher, project: PixiProject) -> None:
    marker = project.prefix / "conda-meta/pixi"
    marker.write_text(json.dumps({"manifest_path": "/old/pixi.toml"}))
    run = start(launcher, project, Stub())
    run.wait_healthy()
    said = "the pixi environment was installed for '/old/pixi.toml', not for"
    assert said in run.stderr()


def test_detached_environment_is_refused_for_run(launcher: Launcher, project: PixiProject) -> None:
    (project.folder / ".pixi/config.toml").write_text('detached-environments = "/envs"\n')
    (project.prefix / "bin/python").unlink()
    said = refuse(launcher, project)
    assert f"'detached-environments' in '{project.directory}/.pixi/config.toml' keeps" in said
    assert said.count("error:") == 1


def test_detached_environment_is_found_by_the_hook(
    launcher: Launcher, project: PixiProject, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    project.prefix.rename(elsewhere)
    answer = json.dumps({"environment_variables": {"CONDA_PREFIX": str(elsewhere)}})
    project.use_program(f"case \"$1\" in --version) echo pixi 0.77.0;; *) echo '{answer}';; esac")
    start(launcher, project, Stub(), "hook").wait_healthy()


# What other commands say


@pytest.mark.parametrize(
    ("launch", "words"),
    [("run", "'pixi run'"), ("hook", "its hook, asked once")],
)
def test_plan_says_how_the_environment_is_activated(
    project: PixiProject, tmp_path: Path, launch: str, words: str
) -> None:
    done = show_plan(project, tmp_path, launch)
    place = f"vLLM of unknown version in the pixi environment 'default' of {project.directory}"
    assert done.out.splitlines()[0] == f"{place}, activated by {words}".replace(
        str(tmp_path), "FOLDER"
    )


def test_plan_by_the_hook_shows_the_python_and_its_variables(
    project: PixiProject, tmp_path: Path
) -> None:
    out = show_plan(project, tmp_path, "hook").out
    assert "  env   CONDA_PREFIX=FOLDER/app/.pixi/envs/default\n" in out
    assert f"  FOLDER/app/.pixi/envs/default/bin/python -m {STUB}\n" in out


def test_plan_by_run_shows_the_whole_command(project: PixiProject, tmp_path: Path) -> None:
    out = show_plan(project, tmp_path, "run").out
    options = "--as-is --executable --manifest-path FOLDER/app --environment default"
    assert f"  FOLDER/tools/pixi run {options} python -m {STUB}\n" in out


@BOTH
def test_plan_changes_nothing_in_the_project(
    project: PixiProject, tmp_path: Path, launch: str
) -> None:
    before = sorted(project.folder.rglob("*"))
    show_plan(project, tmp_path, launch)
    assert sorted(project.folder.rglob("*")) == before


def test_pixi_folder_of_another_user_is_warned_of(project: PixiProject, tmp_path: Path) -> None:
    (project.folder / ".pixi/.gitignore").unlink()
    (project.folder / ".pixi").chmod(0o555)
    done = show_plan(project, tmp_path, "run")
    said = "pixi wants to make '.gitignore' in 'FOLDER/app/.pixi', which this user cannot write"
    assert said in done.err


def show_plan(project: PixiProject, folder: Path, launch: str) -> Done:
    head = {"api_server_module": STUB, **project.master(pixi_launch=launch)}
    text = render_table("master", head) + render_table("instance.a.server", {"port": 1234})
    commands = Commands(folder)
    return commands.run("plan", commands.write(text), env=project.path(), humble=True)


def test_hook_within_the_environment_itself_finds_its_python(
    launcher: Launcher, project: PixiProject, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    project.prefix.rename(elsewhere)
    answer = '{"environment_variables": {}}'
    project.use_program(f"case \"$1\" in --version) echo pixi 0.77.0;; *) echo '{answer}';; esac")
    start(launcher, project, Stub(), "hook", CONDA_PREFIX=str(elsewhere)).wait_healthy()


# A genuine pixi


if find_real_pixi():  # the stand-in is what every machine can be asked for

    @BOTH
    def test_server_under_a_real_pixi_lives_and_stops(
        launcher: Launcher, project: PixiProject, launch: str
    ) -> None:
        project.use_program(f'exec {find_real_pixi()} "$@"')
        run = start(launcher, project, Stub(), launch)
        run.wait_healthy()
        run.signal(signal.SIGTERM)
        assert run.wait() == 0
        assert launcher.left() == []
