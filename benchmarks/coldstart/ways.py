"""The ways to start the same servers."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = {"dtype": "bfloat16", "max_model_len": "256"}
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


def free_ports(count: int) -> list[int]:
    """Return ports that nobody holds now, each another one."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@dataclass
class Stage:
    """Where servers are started: a folder, an interpreter with vLLM, a model.

    With `cache`, a folder for what vLLM keeps, the servers compile their model.
    """

    root: Path
    python: str
    model: Path
    count: int
    cache: str = ""
    ports: list[int] = field(init=False)

    def __post_init__(self) -> None:
        """Choose the ports."""
        self.ports = free_ports(self.count)

    def environ(self) -> dict[str, str]:
        """Return the environment of whatever is started; bytecode is kept, as it would be."""
        kept = {
            name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
        }
        kept = {**kept, **ENVIRONMENT, "XDG_RUNTIME_DIR": str(self.root)}
        return {**kept, "VLLM_CACHE_ROOT": self.cache} if self.cache else kept


def plain(stage: Stage) -> list[list[str]]:
    """Return a command for each server, all started at once."""
    shared = [
        word for key, value in SETTINGS.items() for word in (f"--{key.replace('_', '-')}", value)
    ]
    module = "vllm.entrypoints.openai.api_server"
    words = [stage.python, "-m", module, "--model", str(stage.model), *shared]
    words += [] if stage.cache else ["--enforce-eager"]
    return [
        [*words, "--host", "127.0.0.1", "--port", str(port), "--served-model-name", "demo"]
        for port in stage.ports
    ]


def vllmd(
    stage: Stage, mode: str, prefetch: str = "auto", *, compile_first: bool = False
) -> list[list[str]]:
    """Return the command of a launcher that starts the servers in this mode."""
    settings = "".join(
        f"{key} = {value if value.isdigit() else repr(value)}\n" for key, value in SETTINGS.items()
    )
    text = f"""
[master]
python = "{stage.python}"
start_mode = "{mode}"
compile_first = {str(compile_first).lower()}
prefetch = "{prefetch}"
[instance.control]
gpu_ids = "none"
log_dir = "{stage.root}/logs"
restart = "on-failure"
[instance.server]
model = "{stage.model}"
host = "127.0.0.1"
served_model_name = "demo"
enforce_eager = {str(not stage.cache).lower()}
{settings}"""
    text += "".join(
        f"[instance.s{number}.server]\nport = {port}\n" for number, port in enumerate(stage.ports)
    )
    path = stage.root / "vllm.toml"
    path.write_text(text, encoding="utf-8")
    return [[sys.executable, "-m", "launcher", "run", str(path)]]


WAYS = {
    "plain python -m": plain,
    "vllmd run, cold": lambda stage: vllmd(stage, "cold"),
    "vllmd run, fork": lambda stage: vllmd(stage, "fork"),
}
