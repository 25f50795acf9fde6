"""The programs that are compared: how each is told to start the same servers."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.servers import Server, Stage

    Prepare = Callable[[Stage, tuple[Server, ...]], tuple[str, ...]]

PYTHON = (sys.executable, "-c", "pass")


@dataclass(frozen=True)
class Contender:
    """A launcher. `prepare` writes its configuration and returns its command line.

    `told_of_crash` is what its message about a killed server contains. Without `stops_early` it
    may miss a SIGTERM that comes while it starts its servers.
    """

    name: str
    prepare: Prepare
    told_of_crash: str = ""
    stops_early: bool = True


def find_contenders() -> tuple[Contender, ...]:
    """Return the launchers that are installed in this environment."""
    found = [Contender("vllmd run", _vllmd, "killed by SIGKILL")]
    if _script("supervisord"):
        found.append(Contender("supervisord", _supervisord, "terminated by SIGKILL"))
    if _script("circusd"):
        found.append(Contender("circusd", _circusd, stops_early=False))
    found.append(Contender("sh script", _shell))
    return tuple(found)


def vllmd_words(*words: str) -> tuple[str, ...]:
    """Return a command line of vllmd, as it is installed beside our interpreter."""
    return (_script("vllmd") or "vllmd", *words)


def write_toml(path: Path, servers: tuple[Server, ...]) -> Path:
    """Write a configuration such as a user would: shared settings, one table per server."""
    blocks = [
        f'[instance.control]\nlog_dir = "{path.parent}"\ngpu_ids = "none"\n',
        '[instance.server]\nhost = "127.0.0.1"\nmax_model_len = 4096\n',
    ]
    blocks += [
        f'[instance.{server.name}.server]\nmodel = "some/model"\nport = {server.port}\n'
        f'served_model_name = "{server.name}"\ngpu_memory_utilization = 0.3\n'
        for server in servers
    ]
    path.write_text("\n".join(blocks), encoding="utf-8")
    return path


def _vllmd(stage: Stage, servers: tuple[Server, ...]) -> tuple[str, ...]:
    return vllmd_words("run", str(write_toml(stage.root / "vllm.toml", servers)))


def _supervisord(stage: Stage, servers: tuple[Server, ...]) -> tuple[str, ...]:
    head = (
        "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\n"
        f"pidfile={stage.root}/pid\n"
    )
    blocks = [
        f"[program:{server.name}]\ncommand={shlex.join(server.argv)}\nredirect_stderr=true\n"
        f"stdout_logfile={stage.root}/{server.name}.log\nautorestart=false\n"
        for server in servers
    ]
    path = stage.root / "supervisord.conf"
    path.write_text("\n".join((head, *blocks)), encoding="utf-8")
    return (_script("supervisord") or "supervisord", "-c", str(path))


def _circusd(stage: Stage, servers: tuple[Server, ...]) -> tuple[str, ...]:
    ends = "\n".join(
        f"{name} = ipc://{stage.root}/{name}"
        for name in ("endpoint", "pubsub_endpoint", "stats_endpoint")
    )
    blocks = [
        f"[watcher:{server.name}]\ncmd = {shlex.join(server.argv)}\ncopy_env = True\n"
        f"stdout_stream.class = FileStream\n"
        f"stdout_stream.filename = {stage.root}/{server.name}.log\n"
        for server in servers
    ]
    path = stage.root / "circus.ini"
    path.write_text("\n".join((f"[circus]\n{ends}\n", *blocks)), encoding="utf-8")
    return (_script("circusd") or "circusd", str(path))


def _shell(stage: Stage, servers: tuple[Server, ...]) -> tuple[str, ...]:
    lines = ["#!/bin/sh", "trap 'kill $pids; wait; exit 0' TERM"]
    for server in servers:
        lines.append(f"{shlex.join(server.argv)} >>'{stage.root}/{server.name}.log' 2>&1 &")
        lines.append('pids="$pids $!"')
    path = stage.root / "entrypoint.sh"
    path.write_text("\n".join((*lines, "wait", "")), encoding="utf-8")
    path.chmod(0o755)
    return (str(path),)


def _script(name: str) -> str | None:
    return shutil.which(name, path=str(Path(sys.executable).parent))
