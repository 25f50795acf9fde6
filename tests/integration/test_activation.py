"""Environments that are activated without pixi: by conda's rules, in pixi's order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from launcher.pixi.activation import ActivationError, Place, activate
from launcher.pixi.manifest import Activation
from tests.support.launching import STUB, Launcher, Stub
from tests.support.pixi import PixiProject, make_project
from tests.support.wait import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.launching import Run

ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/home/me", "KEPT": "1"}
NOTHING = Activation()


@pytest.fixture
def project(tmp_path: Path) -> PixiProject:
    return make_project(tmp_path)


def activated(
    project: PixiProject,
    activation: Activation = NOTHING,
    within_s: float = PATIENCE_S,
    **more: str,
) -> dict[str, str]:
    place = Place(
        root=project.directory,
        manifest=f"{project.directory}/pixi.toml",
        environment="default",
        prefix=str(project.prefix),
    )
    return activate(place, activation, {**ENVIRON, **more}, within_s)


def test_activation_without_scripts_sets_the_prefix(project: PixiProject) -> None:
    found = activated(project)
    assert found["CONDA_PREFIX"] == str(project.prefix)
    assert found["PATH"] == f"{project.prefix}/bin:{ENVIRON['PATH']}"
    assert found["PIXI_PROJECT_ROOT"] == project.directory
    assert "KEPT" not in found
    assert "activate_last" not in found


def test_activation_is_that_of_pixi(project: PixiProject) -> None:
    project.add_activation("export A=1 KEPT=2; echo noise; unset HOME")
    ours = activated(project)
    project.use_standin()
    words = ("shell-hook", "--json", "--as-is", "--manifest-path", project.directory)
    done = subprocess.run(
        [project.tools / "pixi", *words], env=ENVIRON, capture_output=True, check=True
    )
    theirs = json.loads(done.stdout)["environment_variables"]
    for name in ("A", "KEPT", "CONDA_PREFIX", "CONDA_SHLVL", "PIXI_PROJECT_ROOT"):
        assert ours[name] == theirs[name]


def test_later_settings_win(project: PixiProject) -> None:
    variables = project.prefix / "etc/conda/env_vars.d"
    variables.mkdir(parents=True)
    (variables / "a.json").write_text('{"A": "package", "B": "package", "C": "package"}')
    (project.prefix / "conda-meta/state").write_text('{"env_vars": {"STATE": "it\'s $HOME"}}')
    project.add_activation("export B=script C=script")
    (project.folder / "own.sh").write_text("export C=own D=own\n")
    activation = Activation(scripts=("own.sh",), variables=(("D", "manifest"), ("E", "$C/$(x)`")))
    found = activated(project, activation)
    assert [found[name] for name in "ABCDE"] == [
        "package", "script", "own", "manifest", "own/$(x)`",
    ]  # fmt: skip
    assert found["STATE"] == "it's $HOME"


def test_values_survive_byte_by_byte(project: PixiProject) -> None:
    project.add_activation("export A=$'a\\n\"b\"=\\'c\\' ü'")
    assert activated(project)["A"] == "a\n\"b\"='c' ü"


@pytest.mark.parametrize("script", ["false", "nosuch", "return 3"])
def test_script_that_fails_is_no_failure(project: PixiProject, script: str) -> None:
    project.add_activation(f"export A=1; {script}")
    assert activated(project)["A"] == "1"


def test_script_that_ends_the_shell_is_a_failure(project: PixiProject) -> None:
    project.add_activation("exit 0")
    with pytest.raises(ActivationError, match="has ended the shell"):
        activated(project)


def test_script_that_never_ends_is_a_failure_in_time(project: PixiProject) -> None:
    project.add_activation("sleep 1000")
    with pytest.raises(ActivationError, match=r"have not ended within 0\.5 s"):
        activated(project, within_s=0.5)


def test_missing_bash_is_told(project: PixiProject) -> None:
    with pytest.raises(ActivationError, match="there is none on PATH"):
        activated(project, PATH="/nowhere")


def start(launcher: Launcher, project: PixiProject, stub: Stub, launch: str = "hook") -> Run:
    shutil.rmtree(project.tools)
    master = {"python": sys.executable, "api_server_module": STUB, "pixi_launch": launch}
    return launcher.start(stub, master={**master, **project.master()}, env={"PATH": without_pixi()})


def without_pixi() -> str:
    folders = os.environ["PATH"].split(":")
    return ":".join(each for each in folders if not os.path.exists(f"{each}/pixi"))


def test_server_needs_no_pixi_under_the_hook(
    launcher: Launcher, project: PixiProject, tmp_path: Path
) -> None:
    project.write_manifest('[activation.env]\nOWN = "$CONDA_PREFIX/x"\n')
    project.add_activation("export NVCC_PREPEND_FLAGS=x")
    report = tmp_path / "report"
    run = start(launcher, project, Stub(server={"stub_report": str(report)}))
    run.wait_healthy()
    env: dict[str, Any] = json.loads(report.read_text())["env"]
    assert env["NVCC_PREPEND_FLAGS"] == "x"
    assert env["OWN"] == f"{project.prefix}/x"
    assert env["PATH"].startswith(f"{project.prefix}/bin:")


def test_script_that_ends_the_shell_is_refused(launcher: Launcher, project: PixiProject) -> None:
    project.add_activation("exit 0")
    run = start(launcher, project, Stub())
    assert run.wait() == 69
    assert "the environment 'default' cannot be activated without pixi: a script" in run.stderr()


def test_run_needs_pixi(launcher: Launcher, project: PixiProject) -> None:
    run = start(launcher, project, Stub(), "run")
    assert run.wait() == 69
    assert 'or set pixi_launch = "hook", which needs none' in run.stderr()
