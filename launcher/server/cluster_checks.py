"""What cannot become a server on several machines. Pure."""

from __future__ import annotations

from launcher.server.address import effective, server_address
from launcher.server.cluster import NATIVE, RAY
from launcher.server.cluster_sizes import sizes_of
from launcher.server.facts import is_vllm_module
from launcher.server.gpus import GpuIds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.reader import Problems
    from launcher.server.cluster import Cluster
    from launcher.server.cluster_facts import Membership
    from launcher.server.cluster_sizes import Sizes
    from launcher.server.facts import Facts
    from launcher.server.model import Instance

# What the table sets itself, on each machine another way.
OURS = (
    "nnodes", "node_rank", "master_addr", "master_port", "headless", "data_parallel_size_local",
    "data_parallel_start_rank", "data_parallel_address", "data_parallel_rpc_port",
)  # fmt: skip
# Modes in which every machine answers requests itself: that is one instance on each.
SEVERAL_FRONTS = (
    "data_parallel_rank", "data_parallel_external_lb", "data_parallel_hybrid_lb",
    "data_parallel_multi_port_external_lb",
)  # fmt: skip
BACKENDS = ("distributed_executor_backend", "data_parallel_backend")


def check_cluster(
    instance: Instance, cluster: Cluster, part: Membership | None, facts: Facts, problems: Problems
) -> None:
    """Refuse what contradicts the table, and sizes that do not divide over the machines."""
    _check_flags(instance, problems)
    _check_backend(instance, cluster, problems)
    _check_engine(instance, cluster, facts, problems)
    if part is not None and part.nodes > 1:
        _check_sizes(instance, cluster, part, problems)


def _check_flags(instance: Instance, problems: Problems) -> None:
    for name in (*OURS, *SEVERAL_FRONTS):
        value = effective(instance, name)
        if value is None or value is False:
            continue
        option = instance.option(name)
        place = option.path if option is not None else instance.extra_args_path
        if name in OURS:
            message = (
                f"'{name}' is set by hand, but '{instance.name}' has a [cluster], which sets it"
            )
            hint = "remove one of the two"
        else:
            message = f"'{name}' lets every machine answer requests, but a [cluster] has one leader"
            hint = "remove it, or remove [cluster] and run an instance on each machine"
        problems.add(place, message, hint)


def _check_backend(instance: Instance, cluster: Cluster, problems: Problems) -> None:
    wanted = "ray" if cluster.engine == RAY else "mp"
    for name in BACKENDS:
        value = effective(instance, name)
        if value is None or value == wanted:
            continue
        option = instance.option(name)
        place = option.path if option is not None else instance.extra_args_path
        engine = cluster.engine
        message = f"'{name}' is {_shown(value)}, but the engine of the [cluster] is '{engine}'"
        problems.add(place, message, f"remove it: it is '{wanted}' then")
    if cluster.engine == RAY and sizes_of(instance).data > 1:
        message = f"'{instance.name}' is data parallel, which a [cluster] does without Ray only"
        hint = 'set engine = "native"'
        problems.add(cluster.place("engine"), message, hint)


def _shown(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def _check_engine(instance: Instance, cluster: Cluster, facts: Facts, problems: Problems) -> None:
    if not is_vllm_module(facts.module):
        return
    place = cluster.place("engine")
    if cluster.engine == RAY and not facts.ray_version and not facts.elsewhere:
        where = "pixi environment" if facts.pixi else f"environment of '{facts.python.path}'"
        message = f"'{instance.name}' needs Ray, which is not installed in the {where}"
        problems.add(place, message, 'install ray there, or set engine = "native"', missing=True)
    if cluster.engine == NATIVE and facts.catalogue and facts.catalogue.find("nnodes") is None:
        version = facts.catalogue.version
        sizes = sizes_of(instance)
        if sizes.data == 1:
            message = f"vLLM {version} cannot split a model over machines by itself"
            problems.add(place, message, 'take vLLM 0.11.1 or newer, or set engine = "ray"')


def _check_sizes(
    instance: Instance, cluster: Cluster, part: Membership, problems: Problems
) -> None:
    sizes = sizes_of(instance)
    nodes, world = part.nodes, sizes.world()
    place = cluster.place("nodes")
    if world % nodes:
        message = f"'{instance.name}' is {_processes(sizes)}, which {nodes} machines cannot share"
        hint = f"choose sizes whose product is a multiple of {nodes}"
        problems.add(place, message, hint)
        return
    if sizes.data > 1 and sizes.data % nodes and nodes % sizes.data:
        message = f"data_parallel_size {sizes.data} and {nodes} machines do not divide one another"
        hint = f"set data_parallel_size to a multiple of {nodes}, or to a divisor of it"
        problems.add(place, message, hint)
        return
    gpus = instance.control.gpu_ids
    local = world // nodes
    if isinstance(gpus, GpuIds) and len(gpus.ids) < local:
        count = f"{len(gpus.ids)} GPU{'s' if len(gpus.ids) > 1 else ''}"
        message = (
            f"'{instance.name}' sees {count}, but needs {local} on each of {nodes} machines: "
            f"it is {_processes(sizes)}"
        )
        hint = "name more GPUs in gpu_ids, or split the model over fewer"
        problems.add(instance.control_path("gpu_ids"), message, hint)


def check_ports(
    parts: tuple[tuple[Instance, Cluster, Membership], ...], problems: Problems
) -> None:
    """Refuse two uses of one port of a leader."""
    holders: dict[tuple[str, int], str] = {}
    for instance, cluster, part in parts:
        if part.is_leader() and not server_address(instance).socket_path:
            holders.setdefault((part.leader, server_address(instance).port), "the server's 'port'")
        for key, port in (("port", part.port), ("link_port", part.link_port)):
            mine = f"the '{key}' of the [cluster] of '{instance.name}'"
            other = holders.setdefault((part.leader, port), mine)
            if other != mine:
                message = f"{mine} is {port}, which is {other}"
                hint = f"set {key} to another port, like {key} = {port + 10}"
                problems.add(cluster.place(key), message, hint)


def _processes(sizes: Sizes) -> str:
    world = sizes.world()
    return f"{world} process{'es' if world > 1 else ''} ({sizes.shown()})"
