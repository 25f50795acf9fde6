"""`vllmd COMMAND` as a child that ends by itself, with a small environment of its own."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.wait import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PR_CAPBSET_DROP = 24  # prctl(2)
PASS_EVERY_PERMISSION = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said. FOLDER stands for the folder it ran in."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Commands:
    """Runs `vllmd` in a folder."""

    folder: Path

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return an environment where nothing is set that `vllmd` reads."""
        return {"PATH": "/nowhere", "PYTHONPATH": ROOT, **(extra or {})}

    def run(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        humble: bool = False,
        stdout: int = subprocess.PIPE,
    ) -> Done:
        """Run to the end. A `humble` run obeys the permissions of files, as root it would not."""
        done = subprocess.run(
            [sys.executable, "-B", "-m", "launcher", *words],
            cwd=self.folder,
            env=self.environ(env),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
            timeout=PATIENCE_S,
            preexec_fn=obey_permissions if humble else None,
        )
        return Done(done.returncode, self._shown(done.stdout or b""), self._shown(done.stderr))

    def write(self, text: str, name: str = "vllm.toml") -> str:
        """Write a configuration; FOLDER stands for the folder. Return its name."""
        (self.folder / name).write_text(text.replace("FOLDER", str(self.folder)))
        return name

    def install_vllm(self, version: str = "0.32.0") -> str:
        """Make a prefix whose Python has vLLM, by its looks; return the interpreter."""
        site = self.folder / "prefix/lib/python3.11/site-packages"
        (site / f"vllm-{version}.dist-info").mkdir(parents=True)
        python = self.folder / "prefix/bin/python3"
        python.parent.mkdir()
        python.write_text("#!/bin/sh\nexit 1\n")
        python.chmod(0o755)
        return str(python)

    def _shown(self, raw: bytes) -> str:
        return raw.decode("utf-8").replace(str(self.folder), "FOLDER")


def obey_permissions() -> None:
    """Give up, for the next exec, what lets root read and write everything."""
    if os.geteuid() == 0:
        for capability in PASS_EVERY_PERMISSION:
            assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0
