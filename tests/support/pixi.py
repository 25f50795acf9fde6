"""Pixi projects to start servers in, with a stand-in for pixi, or a real one from PATH."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.pixi.versions import parse_version
from tests.support.launching import PROGRAMS

if TYPE_CHECKING:
    from pathlib import Path

STANDIN = os.path.join(PROGRAMS, "standin_pixi.py")
MANIFEST = '[workspace]\nname = "project"\nchannels = []\nplatforms = ["linux-64"]\n'
LOCK = "version: 6\nenvironments: {}\npackages: []\n"


@dataclass(frozen=True, kw_only=True)
class PixiProject:
    """A project folder whose environments hold a Python that is this one, and a `pixi` for PATH."""

    folder: Path
    tools: Path
    trace: Path = field()

    @property
    def directory(self) -> str:
        """Return the project's folder."""
        return str(self.folder)

    @property
    def prefix(self) -> Path:
        """Return the prefix of the default environment."""
        return self.folder / ".pixi/envs/default"

    def master(self, **more: str) -> dict[str, object]:
        """Return what `[master]` says of it."""
        return {"pixi_project_dir": self.directory, **more}

    def path(self) -> dict[str, str]:
        """Return an environment in which `pixi` is found first."""
        return {"PATH": f"{self.tools}:{os.environ['PATH']}"}

    def write_manifest(self, more: str = "") -> None:
        """Write the manifest, with more tables at its end."""
        (self.folder / "pixi.toml").write_text(MANIFEST + more)

    def use_standin(self, version: str = "0.77.0") -> None:
        """Put the stand-in for a version of pixi on PATH."""
        words = shlex.join([sys.executable, "-I", STANDIN])
        write_program(
            self.tools / "pixi",
            f"STANDIN_PIXI_VERSION={version} STANDIN_PIXI_TRACE={shlex.quote(str(self.trace))} "
            f'exec {words} "$@"',
        )

    def use_program(self, script: str) -> None:
        """Put a shell script on PATH as `pixi`."""
        write_program(self.tools / "pixi", script)

    def add_activation(self, script: str) -> None:
        """Add an activation script to the default environment."""
        folder = self.prefix / "etc/conda/activate.d"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "own.sh").write_text(script + "\n")


def write_program(path: Path, script: str) -> None:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def make_project(root: Path) -> PixiProject:
    """Make a project with an installed environment, and the stand-in."""
    project = PixiProject(folder=root / "app", tools=root / "tools", trace=root / "trace")
    project.folder.mkdir()
    project.write_manifest()
    (project.folder / "pixi.lock").write_text(LOCK)
    for name in (".gitignore", ".condapackageignore"):
        path = project.folder / ".pixi" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("*\n")
    # Not a link: its folder would not be a prefix of its own.
    write_program(project.prefix / "bin/python", f'exec {shlex.quote(sys.executable)} "$@"')
    marker = project.prefix / "conda-meta/pixi"
    marker.parent.mkdir()
    marker.write_text(
        json.dumps({"manifest_path": f"{project.folder}/pixi.toml", "environment_name": "default"})
    )
    project.use_standin()
    return project


def find_real_pixi() -> str | None:
    """Return the genuine pixi on PATH, if there is one."""
    path = shutil.which("pixi")
    if path is None:
        return None
    done = subprocess.run(
        [path, "--version"], capture_output=True, text=True, check=False, timeout=10
    )
    return path if parse_version(done.stdout) else None
