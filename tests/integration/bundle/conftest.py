"""Bundles are built once; each test gets a folder, and what installs packages."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.bundles import Bundle, make_bundle
from tests.support.installing import Tool, Workplace
from tests.support.pixi import STANDIN, find_real_pixi, write_program
from tests.support.require import require_module

if TYPE_CHECKING:
    from pathlib import Path

REAL = (
    [Tool.REAL] if find_real_pixi() else []
)  # the stand-in is what every machine can be asked for


@pytest.fixture(scope="session", autouse=True)
def libraries() -> None:
    """What `pip install 'vllmd[bundle]'` brings."""
    for name in ("rattler", "installer", "zstandard"):
        require_module("integration", name)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("two"), "two")


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A folder to install into, by py-rattler: there is no pixi."""
    return Workplace(folder=tmp_path, path="/nowhere")


@pytest.fixture(params=[Tool.RATTLER, Tool.STANDIN, *REAL])
def each(request: pytest.FixtureRequest, tmp_path: Path) -> Workplace:
    """The same by everything that installs packages here."""
    if request.param is Tool.RATTLER:
        return Workplace(folder=tmp_path, path="/nowhere")
    tools = tmp_path / "tools"
    if request.param is Tool.STANDIN:
        words = shlex.join([sys.executable, "-I", STANDIN])
        write_program(tools / "pixi", f'exec {words} "$@"')
    else:
        tools.mkdir()
        (tools / "pixi").symlink_to(str(find_real_pixi()))
    return Workplace(folder=tmp_path, path=f"{tools}:{os.environ['PATH']}")
