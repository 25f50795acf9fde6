"""A folder to install bundles into, by `vllmd bundle install` as a child."""

from __future__ import annotations

import enum
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.bundles import SITE
from tests.support.commands import Commands, Done

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.bundles import Bundle


class Tool(enum.Enum):
    """What installs packages."""

    RATTLER = "rattler"
    STANDIN = "stand-in pixi"
    REAL = "pixi"


@dataclass(frozen=True)
class Workplace:
    """A folder with tars, and `app`, which they are installed into."""

    folder: Path
    path: str  # of the shell: whether there is a pixi

    @property
    def app(self) -> Path:
        """Return the project's folder."""
        return self.folder / "app"

    @property
    def prefix(self) -> Path:
        """Return the default environment, as users name it."""
        return self.app / ".pixi/envs/default"

    def words(self, bundle: Bundle | Path, *words: str) -> tuple[str, ...]:
        """Return the words that install a bundle; its tar is written first."""
        tar = self.folder / "bundle.tar"
        path = bundle if isinstance(bundle, os.PathLike) else bundle.write(tar)
        return ("bundle", "install", str(path), "--into", str(self.app), *words)

    def install(self, bundle: Bundle | Path, *words: str, **env: str) -> Done:
        """Install a bundle."""
        commands = Commands(self.folder)
        return commands.run(*self.words(bundle, *words), env={"PATH": self.path, **env})

    def install_well(self, bundle: Bundle | Path, *words: str, **env: str) -> str:
        """Install a bundle and see that it worked; return what was said."""
        done = self.install(bundle, *words, **env)
        assert done.code == 0, done.err
        assert done.out == ""
        return done.err

    def begin(
        self, bundle: Bundle | Path, *words: str, stderr: int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        """Begin an installation, which can be stopped."""
        return subprocess.Popen(
            [sys.executable, "-B", "-m", "launcher", *self.words(bundle, *words)],
            env=Commands(self.folder).environ({"PATH": self.path}),
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            text=True,
        )

    def marker(self) -> str:
        """Return what the installed package says, run by the environment's own Python."""
        done = subprocess.run(
            [str(self.prefix / "bin/python"), "-c", "import stubmodel; print(stubmodel.MARKER)"],
            env={"PYTHONPATH": str(self.prefix / SITE)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def generations(self) -> list[str]:
        """Return the installations that are in the folder."""
        return sorted(path.name for path in (self.app / ".vllmd").iterdir() if path.name.isdigit())


def wait_line(process: subprocess.Popen[str], words: str) -> str:
    """Read what an installation says until it says these words; return that line."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended without {words!r}")
