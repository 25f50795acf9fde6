"""A configuration as another home needs it: values only."""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import TomlValue

# Paths of the image that dockers/infer-dev builds.
CONFIG_DIR = "/model-configs"
CACHE_DIR = "/cache"
LOG_DIR = "/logs"
IMAGE_USER = 1000
LISTEN_PORT = 9180
FIRST_FREE_PORT = 1024  # below it, a port is for those with CAP_NET_BIND_SERVICE
GIB = 1 << 30
GRACE_VARIABLE = "VLLMD_CONTAINER_GRACE_S"  # by which the launcher knows how long it is given
KILL_S = 15  # from SIGKILL to the end of all that a server left


@record
class Server:
    """One instance. Durations are in seconds.

    `gpus` holds its ids as configured; empty for a server on the CPU, or with `every_gpu`.
    `ranks` is how many GPUs its parallel sizes use on one machine, at least 1.
    """

    name: str
    label: str  # the name in the letters that DNS allows
    port: int
    socket_path: str
    interface: str  # the one address it listens on; empty: all
    tls: bool
    gpus: tuple[str, ...]
    every_gpu: bool
    ranks: int
    nodes: int  # machines; more than 1 where the instance has a table `cluster`
    startup_s: float
    stop_s: float  # until it is killed, and what keeps its weights after it
    restart: str = ""  # as configured; empty: not said
    clustered: bool = False
    open_places: tuple[str, ...] = ()  # variables that each machine has to set
    keeps_log: bool = False  # the log is to outlive the container: it is not below /tmp

    def shares(self, other: Server) -> bool:
        """Tell whether another server is on any of this one's GPUs."""
        if self.every_gpu or other.every_gpu:
            return self.needs_gpu() and other.needs_gpu()
        return not set(self.gpus).isdisjoint(other.gpus)

    def needs_gpu(self) -> bool:
        """Tell whether the server runs on GPUs at all."""
        return self.every_gpu or bool(self.gpus)

    def gpu_count(self) -> int:
        """Return how many GPUs a container of its own has to reserve."""
        return self.ranks if self.every_gpu else len(self.gpus)

    def spans(self) -> bool:
        """Tell whether the server runs on several machines."""
        return self.clustered

    def published(self) -> str:
        """Return what a container publishes: HOST:CONTAINER, on the address that the file names."""
        port = f"{self.port}:{self.port}"
        if not self.interface:
            return port
        host = f"[{self.interface}]" if ":" in self.interface else self.interface
        return f"{host}:{port}"

    def shm_bytes(self) -> int:
        """Return the size of /dev/shm: vLLM's message queues and NCCL exchange data there.

        2 GiB a rank: NCCL's buffers and the queues of one worker take a few hundred MB, and
        Docker's default of 64 MB is the known trap. Pages that nobody writes cost nothing.
        """
        return 2 * GIB * max(self.ranks, 1)


@record
class Workload:
    """All instances of one file, and what they need around them."""

    project: str
    file_name: str
    text: str
    image: str
    servers: tuple[Server, ...]
    overrides: Mapping[str, TomlValue]
    secret_variables: tuple[str, ...] = ()  # the configuration says `env:NAME`
    secret_files: tuple[str, ...] = ()  # it says `file:/path`
    model_dirs: tuple[str, ...] = ()  # folders (or files) of this machine that are read
    written_dirs: tuple[str, ...] = ()  # folders that the file has servers write to
    log_dirs: tuple[str, ...] = ()  # for writing; never /tmp
    stop_s: float = 30.0
    startup_s: float = 1800.0  # of all; some wait for others
    listen_port: int = 0  # of the launcher's own pages; 0: off

    def sharing(self, server: Server) -> tuple[str, ...]:
        """Return the names of the other servers on any of a server's GPUs."""
        return tuple(
            other.name
            for other in self.servers
            if other.name != server.name and not set(other.gpus).isdisjoint(server.gpus)
        )

    def spans(self) -> bool:
        """Tell whether any server runs on several machines."""
        return any(server.spans() for server in self.servers)

    def has_low_port(self) -> bool:
        """Tell whether a server listens on a port that is root's, unless more is granted."""
        return any(not each.socket_path and each.port < FIRST_FREE_PORT for each in self.servers)

    def open_places(self) -> tuple[str, ...]:
        """Return the variables that each machine of a cluster has to set, each once."""
        named = (name for server in self.servers for name in server.open_places)
        return tuple(dict.fromkeys(named))

    def keeps_logs(self) -> bool:
        """Tell whether any log is to outlive the container."""
        return any(server.keeps_log for server in self.servers)

    def grace_s(self) -> int:
        """Return how long a container must be given to stop: SIGTERM, then SIGKILL, then an end."""
        return int(self.stop_s) + KILL_S


@record
class OutputFile:
    """One rendered file."""

    name: str
    text: str


@record
class Options:
    """What only the command line says."""

    kind: str = ""
    image: str = "vllmd:latest"
    project: str = ""
    namespace: str = ""
    service_monitor: bool = False
    program: str = "/usr/local/bin/vllmd"
