"""`vllmd-hypervisor COMMAND` for a host of a test: a file, folders, and a namespace."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.hypervisor.account import gather_account
from tests.support.commands import ROOT, Done

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.netns import Namespace


@dataclass
class HostCommands:
    """Runs commands on a host whose folders are below `folder`."""

    folder: Path
    namespace: Namespace | None = None
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    def environ(self) -> dict[str, str]:
        return {
            "PATH": f"{os.path.dirname(sys.executable)}:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": ROOT,
            "HOME": str(self.folder / "home"),
            "VLLMD_HYPERVISOR_CONFIG": str(self.folder / "host.toml"),
            "VLLMD_SYSTEMD_DIR": str(self.folder / "units"),
            **self.variables,
        }

    def write_host(self, text: str, *, user: str = "") -> None:
        """Write the host's file; `[global]` is there, with a user or with us."""
        common = f'[global]\nuser = "{user or gather_account().user}"\n'
        common += f'state_dir = "{self.state_dir}"\nconfig_dir = "{self.folder}/config"\n'
        (self.folder / "host.toml").write_text(common + text)

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> Done:
        """Run a command to its end; FOLDER stands for the folder in what it says."""
        return self.execute([sys.executable, "-m", "launcher.cli.hypervisor", *words], env)

    def execute(self, argv: list[str], env: Mapping[str, str] | None = None) -> Done:
        done = subprocess.run(
            self.namespace.command(*argv) if self.namespace else argv,
            cwd=self.folder,
            env={**self.environ(), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Done(done.returncode, self._shown(done.stdout), self._shown(done.stderr))

    def _shown(self, text: str) -> str:
        return text.replace(str(self.folder), "FOLDER")
