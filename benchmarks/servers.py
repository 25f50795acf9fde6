"""A folder in which every contender finds the same stub servers, instead of vLLM."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

STUB = Path(__file__).with_name("stub_server.py")
FIRST_PORT = 18200


@dataclass(frozen=True)
class Server:
    """One stub server: its name, its port, and the command that starts it."""

    name: str
    port: int
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """A folder with an environment that looks as if it had vLLM; its `python3` is the stub."""

    root: Path

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of every contender: ours, with the stub's python3 first.

        Bytecode may be written, so that a checkout starts as an installed package does (pip
        compiles what it installs).
        """
        dropped = {"PYTHONDONTWRITEBYTECODE", "AUTO_INFER_VLLM_CONFIG", "AUTO_INFER_VLLM_OVERRIDES"}
        inherited = {key: value for key, value in os.environ.items() if key not in dropped}
        return {**inherited, "PATH": f"{self.root / 'bin'}:{os.environ.get('PATH', os.defpath)}"}

    def servers(self, count: int) -> tuple[Server, ...]:
        """Return the servers that all contenders run."""
        program = str(self.root / "bin" / "python3")
        return tuple(
            Server(
                name=f"s{number}",
                port=FIRST_PORT + number,
                argv=(program, "-m", "server", "--port", str(FIRST_PORT + number)),
            )
            for number in range(count)
        )

    def set_program(self, script: str) -> None:
        """Make `python3` of the environment this shell script."""
        path = self.root / "bin" / "python3"
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def announce_start(self, fifo: Path) -> None:
        """Let the server write a byte to a FIFO as soon as it runs, and end soon after."""
        self.set_program(f"echo >'{fifo}'; exec sleep 60")

    def serve(self) -> None:
        """Let the server answer GET /health until it is stopped."""
        self.set_program(f"exec '{sys.executable}' -I -S '{STUB}' \"$@\"")


def make_stage(root: Path) -> Stage:
    """Write the environment into an empty folder."""
    (root / "bin").mkdir()
    (root / "lib" / "python3.11" / "site-packages" / "vllm-0.32.0.dist-info").mkdir(parents=True)
    return Stage(root)
