"""What the soak wants to run at the moment: the configuration, and who is stopped by a command."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from random import SystemRandom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

# child, daemon: leaves a process that ignores SIGTERM, in its group or in a session of its own.
KINDS = ("plain", "child", "daemon", "deaf", "slow")
LOWEST_PORT, HIGHEST_PORT = 20_000, 32_000  # below those that the kernel gives to clients
HEAD = """\
[master]
control_socket = "{root}/vllmd.sock"
[master.env]
SOAK_TALLY = "{root}/tally"
[instance.control]
log_dir = "{root}/logs"
log_max_mb = 1
log_keep = 100
gpu_ids = "none"
restart = "always"
restart_window_s = 5
health_interval_s = 2
health_failures = 1
startup_timeout_s = 30
stop_timeout_s = 2
[instance.server]
host = "127.0.0.1"
model = "some/model"
"""


@dataclass
class Instance:
    """One instance: its fixed name and port, and what the configuration says of it now."""

    name: str
    port: int
    kind: str
    edition: int = 1  # raised to change its settings
    listed: bool = True  # the configuration has it
    held: bool = False  # stopped by a command
    listed_at: float = 0.0  # when the configuration got it
    floods: int = 0

    def render(self) -> str:
        """Return its tables."""
        return (
            f"[instance.{self.name}.server]\nport = {self.port}\n"
            f"max_model_len = {1024 + self.edition}\n"
            f'[instance.{self.name}.env]\nSOAK_KIND = "{self.kind}"\n'
        )


@dataclass
class Wanted:
    """All instances that there can be, in a folder."""

    root: Path
    instances: list[Instance] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """Return where the configuration is."""
        return self.root / "vllm.toml"

    @property
    def socket(self) -> Path:
        """Return where the control socket is."""
        return self.root / "vllmd.sock"

    def listed(self, since: float = float("inf")) -> list[Instance]:
        """Return those that the configuration has had since a moment."""
        return [each for each in self.instances if each.listed and each.listed_at <= since]

    def write(self, nonsense: str = "") -> None:
        """Write the configuration in one go."""
        text = HEAD.format(root=self.root) + "".join(each.render() for each in self.listed())
        draft = self.path.with_suffix(".draft")
        draft.write_text(text + nonsense, encoding="utf-8")
        draft.rename(self.path)


def make_wanted(root: Path, count: int) -> Wanted:
    """Return instances of all kinds, on ports that are free."""
    first = _find_ports(count)
    instances = [
        Instance(name=f"s{number}", port=first + number, kind=KINDS[number % len(KINDS)])
        for number in range(count)
    ]
    for name in ("logs", "tally"):
        (root / name).mkdir()
    return Wanted(root, instances)


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a port."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def _find_ports(count: int) -> int:
    for _ in range(100):  # not by the seed: two soaks with one seed may run at once
        first = SystemRandom().randrange(LOWEST_PORT, HIGHEST_PORT - count)
        if all(is_free(port) for port in range(first, first + count)):
            return first
    raise OSError(f"no {count} free ports in a row")
