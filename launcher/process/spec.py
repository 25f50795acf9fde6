"""What to run, how to stop it, and how it ended. Values only: the request, apart from the doing."""

from __future__ import annotations

import signal

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

FORCED = 128 + signal.SIGKILL  # the code that a shell and Docker show for a killed process


@record
class Variable:
    """An environment variable that we set for a process."""

    name: str
    value: str
    secret: bool = False

    def __repr__(self) -> str:
        """Show no value: it may be a secret."""
        return f"Variable({self.name})"


@record
class LogSpec:
    """Where output goes: rotated at `max_bytes` (0: never), with `keep` old files kept."""

    path: str
    max_bytes: int
    keep: int


@record
class Probe:
    """How to ask a server whether it is healthy: `GET path` over TCP, or over a UNIX socket."""

    host: str
    port: int
    path: str = "/health"
    tls: bool = False
    socket_path: str = ""
    canary: str = ""  # the model that a ready server is asked for a token of; empty: ask `path`

    def address(self) -> str:
        """Return the address as a person writes it."""
        if self.socket_path:
            return f"unix:{self.socket_path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


@record
class Link:
    """How the launchers of a server on several machines hold together (`launcher.process.link`).

    The leader, rank 0, listens on `port` of `host`, the others call it there.
    """

    host: str
    port: int
    rank: int
    nodes: int

    def address(self) -> str:
        """Return the address as a person writes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@record
class RestartPolicy:
    """Whether a process that failed is started again.

    "no"; "on-failure": at most `max_restarts` times within `window_s` seconds, then it is failed
    for good; "always": without that limit. The pause before the n-th restart within the window is
    `backoff_s` x 2^(n-1), at most `backoff_cap_s`.
    """

    mode: str = "no"
    max_restarts: int = 5
    window_s: float = 3600.0
    backoff_s: float = 1.0
    backoff_cap_s: float = 60.0


@record
class Warm:
    """How a process is forked from one that has imported what it needs: a fork server.

    The process's words are `PYTHON -m MODULE ...`. Processes share a fork server if their python
    is the same and all of their variables are, but for the `late` ones, which nothing reads before
    the module runs; of `switches`, it matters only whether they are set to nothing.
    """

    modules: tuple[str, ...] = ()  # imported beforehand, those that there are
    site: str = ""  # the folder of the package that they are of: when it changes, import again
    late: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    workers: bool = False  # vLLM's engine and workers are forked too
    keep: bool = True  # the fork server stays for restarts; else it ends once all are healthy
    log_dir: str = ""  # where the fork server's own output goes
    model: str = ""  # is asked for a token after each start; empty: it is not


@record
class Prefetch:
    """What is read into the page cache while a process starts: the weights of a model.

    The model is a folder, a file, or a name of which `hub` may have the files.
    """

    name: str  # of the process
    model: str
    revision: str = ""  # empty: the usual one
    hub: str = ""  # the folder where huggingface_hub keeps what it has fetched; empty: none
    patterns: tuple[str, ...] = ()  # of names of files; the first that there are any of is taken
    network: bool = False  # also from a network file system

    def as_order(self) -> dict[str, object]:
        """Return it as the reader takes it (`launcher/warm/prefetch.py`)."""
        return {
            "name": self.name,
            "model": self.model,
            "revision": self.revision,
            "hub": self.hub,
            "patterns": self.patterns,
            "network": self.network,
        }


@record
class ProcessSpec:
    """One process to run and supervise. Durations are in seconds."""

    name: str
    argv: tuple[str, ...]
    env: tuple[Variable, ...] = ()  # over the inherited environment
    unset: tuple[str, ...] = ()  # inherited variables that the process does not get
    cwd: str | None = None
    log: LogSpec | None = None  # None: the process has our own standard streams
    foreground: bool = False  # when it ends, everything ends, with its exit code
    main: bool = False  # the container's CMD: starts after the instances, asked to stop first
    probe: Probe | None = None  # None: ready as soon as it runs
    link: Link | None = None  # it is a part of a server on several machines, which end together
    after: tuple[str, ...] = ()  # start when each of these is ready, or has ended
    outlives: str = ""  # uses what this one holds: it is asked to stop when that has ended
    gpus: str = ""  # those it sees, as the configuration says it: "all", "none", "0,1"
    everywhere: bool = False  # it listens on every interface, not only where it is probed
    warm: Warm | None = None  # None: a cold start
    locks: tuple[str, ...] = ()  # GPUs held while it starts; "all" excludes every other lock
    restart: RestartPolicy = RestartPolicy()
    liveness_interval_s: float = 0.0  # between two probes of a ready process; 0: none
    liveness_failures: int = 3  # probes in a row that may fail before it counts as dead
    liveness_timeout_s: float = 20.0  # for an answer; one that uses all its cores answers late
    stall_timeout_s: float = 0.0  # with requests but without a token it counts as dead; 0: never
    startup_timeout_s: float = 1800.0
    stop_timeout_s: float = 30.0
    try_it: str = ""  # a command that the user can paste once the process is ready


@record
class Endpoints:
    """Where a launcher is reached, and what it runs."""

    config: str = ""  # the file, absolute
    control_socket: str = ""  # empty: the usual place
    listen: tuple[str, int] | None = None  # host and port for read-only pages


@record
class Exited:
    """The process ended by itself, with this code."""

    code: int


@record
class Killed:
    """The process was ended by this signal."""

    signal: int


if TYPE_CHECKING:
    ExitStatus: TypeAlias = Exited | Killed


def exit_status(wait_status: int) -> ExitStatus:
    """Read the status word of waitpid(2)."""
    if wait_status & 0x7F:
        return Killed(signal=wait_status & 0x7F)
    return Exited(code=wait_status >> 8 & 0xFF)


def exit_code(status: ExitStatus) -> int:
    """Return the code a shell would show: the process's own, or 128 + signal."""
    return status.code if isinstance(status, Exited) else 128 + status.signal


def describe_status(status: ExitStatus) -> str:
    """Say how a process ended: `exit code 3`, `killed by SIGKILL`."""
    if isinstance(status, Exited):
        return f"exit code {status.code}"
    try:
        name = signal.Signals(status.signal).name
    except ValueError:  # real-time signals have no name
        name = f"signal {status.signal}"
    return f"killed by {name}"
