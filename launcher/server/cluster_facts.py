"""Which machine of a cluster this is: from the file, from variables, from the scheduler's. Pure.

Each value comes from the first source that has it: the file; `VLLMD_CLUSTER_...`; and what
LeaderWorkerSet, torchrun and its like, and Slurm give their programs, in this order. Schedulers
come before Slurm because they run inside its jobs, not the other way round.

Sources: https://lws.sigs.k8s.io/docs/reference/labels-annotations-and-environment-variables,
https://slurm.schedmd.com/srun.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES,
https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables
"""

from __future__ import annotations

from launcher.config.reader import Refusal
from launcher.record import record
from launcher.server.address import LONG
from launcher.server.cluster import DEFAULT_PORT, MAX_PORT, REFERENCE, read_leader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.reader import Problems
    from launcher.server.cluster import Cluster

# The variables of each source, per value, the first that is set counts.
RANK = ("VLLMD_CLUSTER_RANK", "LWS_WORKER_INDEX", "NODE_RANK", "PET_NODE_RANK", "GROUP_RANK",
        "RANK", "SLURM_NODEID")  # fmt: skip
NODES = ("VLLMD_CLUSTER_NODES", "LWS_GROUP_SIZE", "NNODES", "PET_NNODES", "GROUP_WORLD_SIZE",
         "WORLD_SIZE", "SLURM_STEP_NUM_NODES", "SLURM_NNODES", "SLURM_JOB_NUM_NODES")  # fmt: skip
LEADER = ("VLLMD_CLUSTER_LEADER", "LWS_LEADER_ADDRESS", "MASTER_ADDR", "PET_MASTER_ADDR",
          "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST")  # fmt: skip
PORT = ("VLLMD_CLUSTER_PORT", "MASTER_PORT", "PET_MASTER_PORT")
# Of torchrun these count processes, not machines, unless there is one on each.
PER_PROCESS = ("RANK", "WORLD_SIZE")
ON_EACH = "LOCAL_WORLD_SIZE"
LISTS = ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST")
MOST = 1_000_000  # machines


@record
class Membership:
    """This machine's part: everything known. `origins` names where each value came from.

    An origin is a variable's name, `default`, or empty for the file.
    """

    nodes: int
    engine: str
    rank: int
    leader: str
    port: int
    link_port: int
    origins: tuple[tuple[str, str], ...]

    def is_leader(self) -> bool:
        """Tell whether this machine answers requests."""
        return self.rank == 0


class _Reading:
    """Collects the values of one cluster, where they came from, and what was wrong."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        environ: Mapping[str, str],
        problems: Problems,
        *,
        elsewhere: bool,
    ) -> None:
        self.name = name
        self.cluster = cluster
        self.environ = {} if elsewhere else environ  # what this machine says is of no interest
        self.elsewhere = elsewhere
        self.problems = problems
        self.origins: dict[str, str] = {}
        self.good = True

    def refuse(self, key: str, message: str, hint: str) -> None:
        self.problems.add(self.cluster.place(key), message, hint)
        self.good = False

    def text(self, key: str, names: tuple[str, ...]) -> str | None:
        """Return the value of the file's `env:NAME`, or of the first variable that is set."""
        written = getattr(self.cluster, key)
        if isinstance(written, str) and written.startswith(REFERENCE):
            wanted = written.removeprefix(REFERENCE)
            self.origins[key] = wanted
            value = self.environ.get(wanted, "")
            if not value and not self.elsewhere:
                message = f"'{key}': the variable '{wanted}' is not set"
                self.refuse(key, message, f"export {wanted}, or write the value itself")
            return value or None
        for name in names:
            value = self.environ.get(name, "")
            if value and not self._means_something_else(name, value):
                self.origins[key] = name
                return value
        return None

    def _means_something_else(self, name: str, value: str) -> bool:
        """Tell whether a variable counts processes, or is a Service of Kubernetes by that name."""
        counts = name in PER_PROCESS and self.environ.get(ON_EACH, "1") != "1"
        return counts or value.startswith("tcp://")

    def number(self, key: str, names: tuple[str, ...], least: int, most: int) -> int | None:
        """Return a value that is a number; None where nobody says it, or it is none."""
        written = getattr(self.cluster, key)
        if isinstance(written, int):
            self.origins[key] = ""
            return written
        value = self.text(key, names)
        if value is None:
            return None
        number = parse_number(value)
        if number is not None and least <= number <= most:
            return number
        variable = self.origins[key]
        wanted = f"{least} to {most}" if most == MAX_PORT else f"at least {least}"
        message = f"'{key}': expected an integer, {wanted}, in '{variable}', got '{value}'"
        self.refuse(key, message, f"correct {variable}, or set {key} in [cluster]")
        return None


def find_membership(
    name: str, cluster: Cluster, environ: Mapping[str, str], problems: Problems, *, elsewhere: bool
) -> Membership | None:
    """Return this machine's part in the cluster of instance `name`; None, with problems, without.

    `elsewhere`: the machine is not this one, so that nothing it would say is missed.
    """
    reading = _Reading(name, cluster, environ, problems, elsewhere=elsewhere)
    nodes = reading.number("nodes", NODES, 1, MOST)
    rank = reading.number("rank", RANK, 0, MOST)
    leader = _find_leader(reading)
    port = reading.number("port", PORT, 1, MAX_PORT)
    if reading.good and elsewhere:
        nodes, rank, leader = nodes or 1, rank or 0, leader or "leader"
    if reading.good:
        _note_missing(reading, nodes, rank, leader)
    if nodes is not None and rank is not None and rank >= nodes:
        _note_beyond(reading, rank, nodes)
    if nodes is not None:
        _note_disagreement(reading, nodes)
    if port is None:
        port, reading.origins["port"] = DEFAULT_PORT, "default"
    link_port = cluster.link_port
    reading.origins["link_port"] = "" if link_port else "default"
    if link_port is None:
        link_port = port + 1 if port < MAX_PORT else port - 1
    if link_port == port:
        message = f"'link_port' and 'port' are both {port}"
        reading.refuse("link_port", message, "give one another port, or remove link_port")
    if not reading.good or nodes is None or rank is None or leader is None:
        return None
    return Membership(
        nodes=nodes,
        engine=cluster.engine,
        rank=rank,
        leader=leader,
        port=port,
        link_port=link_port,
        origins=tuple(reading.origins.items()),
    )


def _find_leader(reading: _Reading) -> str | None:
    written = reading.cluster.leader
    if written is not None and not written.startswith(REFERENCE):
        reading.origins["leader"] = ""
        return written
    value = reading.text("leader", LEADER)
    if value is None:
        return None
    variable = reading.origins["leader"]
    try:
        return read_leader(first_host(value) if variable in LISTS else value)
    except Refusal as refusal:
        message = f"'leader': {refusal.message} in '{variable}'"
        reading.refuse("leader", message, f"correct {variable}, or set leader in [cluster]")
        return None


def parse_number(text: str) -> int | None:
    """Return the number that a variable holds; None where it is none, or beyond all sense."""
    sensible = text.isascii() and text.isdigit() and len(text) < LONG
    return int(text) if sensible else None


def first_host(nodelist: str) -> str:
    """Return the first host of Slurm's compact list: `gpu[03-05,9],login` gives `gpu03`."""
    prefix, bracket, rest = nodelist.partition("[")
    if not bracket or "," in prefix:
        return prefix.partition(",")[0]
    inside, _, behind = rest.partition("]")
    first = inside.partition(",")[0].partition("-")[0]
    # `rack[1-2]node[1-8]`: a second bracket follows the first.
    return prefix + first + first_host(behind) if behind[:1] not in {"", ","} else prefix + first


def _note_missing(
    reading: _Reading, nodes: int | None, rank: int | None, leader: str | None
) -> None:
    wrong = {problem.path for problem in reading.problems.found}
    told = {key for key in ("nodes", "rank", "leader") if (*reading.cluster.path, key) in wrong}
    around = "under LeaderWorkerSet, Slurm or torchrun it is known"
    if nodes is None and "nodes" not in told:
        message = f"nothing says how many machines '{reading.name}' spans"
        reading.refuse("nodes", message, "set nodes in [cluster]")
    if rank is None and "rank" not in told:
        message = f"nothing says which machine of '{reading.name}' this is"
        reading.refuse("rank", message, f"export VLLMD_CLUSTER_RANK=0, 1, ...; {around}")
    if leader is None and "leader" not in told:
        message = f"nothing says where the leader of '{reading.name}' is"
        hint = f"set leader in [cluster], or export VLLMD_CLUSTER_LEADER; {around}"
        reading.refuse("leader", message, hint)


def _note_beyond(reading: _Reading, rank: int, nodes: int) -> None:
    whence = reading.origins.get("rank")
    of = f" ('{whence}')" if whence else ""
    last = f"0 to {nodes - 1}" if nodes > 1 else "0"
    message = f"rank {rank}{of} is beyond the {nodes} machines of '{reading.name}'"
    reading.refuse("rank", message, f"ranks are {last}: correct the rank, or nodes")


def _note_disagreement(reading: _Reading, nodes: int) -> None:
    """Say where the scheduler has started another number of machines than the file wants."""
    if reading.cluster.nodes is None:
        return
    for variable in NODES[:2]:
        value = reading.environ.get(variable, "")
        if parse_number(value) not in {None, nodes}:
            message = f"'nodes' is {nodes}, but '{variable}' says {value}"
            hint = f"remove nodes from [cluster], or start {nodes} machines"
            reading.refuse("nodes", message, hint)
            return
