"""What a container pays: the launcher in one file, and the HEALTHCHECK. Both beside the usual."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.contenders import PYTHON, vllmd_words, write_toml
from benchmarks.measure import BASE, first_exec, take_turns
from benchmarks.processes import running, seconds_to_end, wait_listening
from benchmarks.report import Measurement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.measure import Contenders
    from benchmarks.servers import Stage

BUILDER = Path(__file__).parents[1] / "tools" / "build_pyz.py"
INSTALLED = "vllmd run, installed"
HEALTHCHECK_INSTANCES = 3


def one_file(stage: Stage, _contenders: Contenders, runs: int) -> list[Measurement]:
    """Exec of the launcher to exec of the first server, installed and as dist/vllmd.pyz."""
    pyz = stage.root / "vllmd.pyz"
    words = (sys.executable, str(BUILDER), "--output", str(pyz))
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    fifo = stage.root / "started"
    os.mkfifo(fifo)
    stage.announce_start(fifo)
    descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    path = str(write_toml(stage.root / "vllm.toml", stage.servers(1)))
    forms = {
        INSTALLED: vllmd_words("run", path),
        "vllmd.pyz run": (PYTHON[0], str(pyz), "run", path),
    }
    times = take_turns(
        {
            name: lambda argv=argv: first_exec(argv, stage, descriptor)  # type: ignore[misc]
            for name, argv in forms.items()
        },
        runs,
    )
    os.close(descriptor)
    title = "one file: exec to exec of the first server"
    return [Measurement(title, name, "ms", median(times[name]) * 1000, INSTALLED) for name in times]


def healthcheck(stage: Stage, _contenders: Contenders, runs: int) -> list[Measurement]:
    """`vllmd status`, as the HEALTHCHECK of an image runs it, against a running launcher."""
    stage.serve()
    servers = stage.servers(HEALTHCHECK_INSTANCES)
    path = write_toml(stage.root / "vllm.toml", servers)
    environ = {**stage.environ, "XDG_RUNTIME_DIR": str(stage.root)}  # for the control socket
    with running(vllmd_words("run", str(path)), environ):
        wait_listening(servers)
        words = {BASE: PYTHON, "vllmd status": vllmd_words("status")}
        times = take_turns(
            {
                name: lambda argv=argv: seconds_to_end(argv, environ)  # type: ignore[misc]
                for name, argv in words.items()
            },
            runs,
        )
    return [
        Measurement("healthcheck", name, "ms", median(times[name]) * 1000, BASE) for name in times
    ]
