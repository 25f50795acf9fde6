"""What can be known to be wrong before anything starts. Hard facts are errors, guesses warnings.

Each check looks at the whole list of instances that are to run and adds to the problems.
"""

from __future__ import annotations

import posixpath

from launcher.config.problems import WARNING, type_name
from launcher.server.address import (
    EVERY_INTERFACE,
    LIKE_HOST,
    MAX_PORT,
    effective,
    effective_integer,
    host_fault,
    server_address,
    socket_path_fault,
)
from launcher.server.environment_checks import check_environment
from launcher.server.extra_args_checks import check_extra_args
from launcher.server.facts import is_vllm_module, local_model, log_path
from launcher.server.gpus import GpuIds
from launcher.server.model import SHARED_TABLES
from launcher.server.multiprocessing import check_multiprocessing
from launcher.server.secret_checks import check_secrets
from launcher.server.shutdown import check_shutdown
from launcher.server.weight_cache import check_weight_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from launcher.config.layers import Tree
    from launcher.config.problems import Path
    from launcher.config.reader import Problems
    from launcher.server.address import Address
    from launcher.server.facts import Facts
    from launcher.server.model import Instance

    Instances: TypeAlias = tuple[Instance, ...]

FIRST_FREE_PORT = 1024  # below, only root may listen
LIKE_PORT = "write it like port = 8000"
IN_QUOTES = {"host": LIKE_HOST, "uds": 'write it like uds = "/run/a.sock"'}
PERCENT = 100
INFINITE = float("inf")
PARALLEL_SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
UTILIZATION = "gpu_memory_utilization"


def check_addresses(instances: Instances, _facts: Facts, problems: Problems) -> None:
    """Refuse what is no address, and two servers on one."""
    checked = [instance for instance in instances if _is_address(instance, problems)]
    addresses = {instance.name: server_address(instance) for instance in checked}
    ports = {address.port for address in addresses.values()}
    holders: dict[object, dict[str, Instance]] = {}  # port -> interface -> who has it
    for instance in checked:
        address = addresses[instance.name]
        others = holders.setdefault(address.socket_path or address.port, {})
        interface = address.interface()
        other = others.get(interface) or others.get(EVERY_INTERFACE)
        if other is None and interface == EVERY_INTERFACE:
            other = next(iter(others.values()), None)
        if other is not None:
            message = f"'{instance.name}' and '{other.name}' both listen on {address.shown()}"
            place = _path(instance, "uds" if address.socket_path else "port")
            problems.add(place, message, _address_hint(address, ports))
        others.setdefault(interface, instance)


def _address_hint(address: Address, ports: set[int]) -> str:
    if address.socket_path:
        return "give one another path as uds"
    free = address.port
    while free in ports:
        free = free + 1 if free < MAX_PORT else FIRST_FREE_PORT
    return f"give one another port, like port = {free}"


def _is_address(instance: Instance, problems: Problems) -> bool:
    good = True
    for name, find_fault in (("host", host_fault), ("uds", socket_path_fault)):
        option = instance.option(name)
        value = option.value if option else None
        if option is None or (isinstance(value, str) and "\0" in value):
            continue  # a NUL `plan_flags` refuses
        found = f"expected a string, got {type_name(value)}", IN_QUOTES[name]
        fault = find_fault(value) if isinstance(value, str) else found
        if fault is not None:
            problems.add(option.path, f"'{name}': {fault[0]}", fault[1])
            good = False
    option = instance.option("port")
    if option is not None:
        value = option.value
        wanted = f"'port': expected an integer, 1 to {MAX_PORT}"
        if isinstance(value, bool) or not isinstance(value, int):
            quoted = isinstance(value, str) and value.isdigit()
            hint = "remove the quotes" if quoted else LIKE_PORT
            problems.add(option.path, f"{wanted}, got {type_name(value)}", hint)
            good = False
        elif not 1 <= value <= MAX_PORT:
            problems.add(option.path, f"{wanted}, got {value}", LIKE_PORT)
            good = False
    return good


def check_logs(instances: Instances, facts: Facts, problems: Problems) -> None:
    """Refuse two instances on one log, and paths that cannot be a log."""
    owners: dict[str, Instance] = {}
    for instance in instances:
        path = log_path(instance)
        key = "log_file" if instance.control.log_file else "log_dir"
        other = owners.setdefault(posixpath.normpath(path), instance)
        if other is not instance:
            message = f"'{instance.name}' and '{other.name}' both log to '{path}'"
            problems.add(instance.control_path(key), message, "give each its own log_file")
        elif path in facts.log_faults:
            hint = "give another log_dir or log_file"
            if path.startswith("/dev/"):
                hint = "set background = false to see the output on stdout as well"
            message = f"the log '{path}' {facts.log_faults[path]}"
            problems.add(instance.control_path(key), message, hint)


def check_models(instances: Instances, facts: Facts, problems: Problems) -> None:
    """Refuse a local model that is not there."""
    wrong = {problem.path for problem in problems.found}
    for instance in instances:
        path = local_model(instance)
        model = instance.option("model")
        if model is not None and model.value == "":
            hint = 'write it like model = "/path/to/model"'
            problems.add(model.path, "'model': expected a path or a name, got an empty one", hint)
        elif path is not None and path in facts.missing_models:
            message = f"the model '{path}' {facts.missing_models[path]}"
            hint = "mount it at that path, or correct the path"
            problems.add(_path(instance, "model"), message, hint)
        elif not wrong.isdisjoint({instance.path(), (*instance.path(), "server")}):
            continue  # no table: what would be in it nobody knows
        elif is_vllm_module(facts.module) and _names_no_model(instance):
            message = f"'{instance.name}' has no model: vLLM would take its own default"
            hint = _nearest_of_the_file(instance, problems.tree) or (
                f'set model = "/path/to/model" in [instance.{instance.name}.server]'
            )
            problems.add(instance.path(), message, hint, severity=WARNING, at_key=True)


def _nearest_of_the_file(instance: Instance, tree: Tree) -> str:
    """Return a hint for an instance that only an override or `--set` names; empty for others."""
    names: list[str] = []
    for document in tree.documents:
        tables = document.data.get("instance")
        if document.origin.kind == "file" and isinstance(tables, dict):
            names += [name for name in tables if name not in SHARED_TABLES]
    if instance.name in names:
        return ""
    from launcher.config.suggest import find_nearest  # noqa: PLC0415  (a mistake: see options)

    nearest = find_nearest(instance.name, names)
    return f"did you mean '{nearest}', the instance of the file?" if nearest else ""


def _names_no_model(instance: Instance) -> bool:
    return all(effective(instance, name) is None for name in ("model", "model_tag", "config"))


def check_gpus(instances: Instances, facts: Facts, problems: Problems) -> None:
    """Refuse fewer GPUs than the model is split over, and parts that are none."""
    for instance in instances:
        if is_vllm_module(facts.module):
            _check_parallel_sizes(instance, problems)
        gpus = instance.control.gpu_ids
        if not isinstance(gpus, GpuIds) or _spans_nodes(instance):
            continue
        tensor = effective_integer(instance, "tensor_parallel_size", 1)
        pipeline = effective_integer(instance, "pipeline_parallel_size", 1)
        if len(gpus.ids) < tensor * pipeline:
            count = f"{len(gpus.ids)} GPU{'s' if len(gpus.ids) > 1 else ''}"
            message = (
                f"'{instance.name}' sees {count}, but needs {tensor * pipeline}: "
                f"tensor_parallel_size {tensor} x pipeline_parallel_size {pipeline}"
            )
            hint = "name more GPUs in gpu_ids, or split the model over fewer"
            problems.add(instance.control_path("gpu_ids"), message, hint)


def _check_parallel_sizes(instance: Instance, problems: Problems) -> None:
    """Refuse sizes below one: vLLM's parser takes them (vllm/config/parallel.py does not)."""
    for name in PARALLEL_SIZES:
        option = instance.option(name)
        value = option.value if option else None
        if option is None or isinstance(value, bool) or not isinstance(value, int):
            continue  # the catalogue tells what is no integer
        if value < 1:
            message = f"'{name}': expected an integer of at least 1, got {value}"
            problems.add(option.path, message, "write 1 or more")


def check_gpu_sharing(instances: Instances, facts: Facts, problems: Problems) -> None:
    """Refuse servers that together claim more than the whole memory of a GPU."""
    for instance in instances if is_vllm_module(facts.module) else ():
        _check_utilization(instance, problems)
    claims: dict[str, list[tuple[Instance, float]]] = {}
    for instance in instances:
        gpus = instance.control.gpu_ids
        if isinstance(gpus, GpuIds):
            for gpu in gpus.ids:
                claims.setdefault(gpu, []).append((instance, _utilization(instance, facts)))
    reported: set[tuple[str, ...]] = set()
    for gpu, claimants in claims.items():
        total = sum(share for _, share in claimants)
        names = tuple(instance.name for instance, _ in claimants)
        # Ten shares of 0.1 are 1.0, whatever binary fractions make of it.
        if len(claimants) > 1 and total > 1.0 + 1e-6 and names not in reported:
            reported.add(names)
            shares = " + ".join(f"{share:g} ('{each.name}')" for each, share in claimants)
            message = f"GPU {gpu} is claimed more than once over: {shares} = {total:g}"
            hint = f"lower gpu_memory_utilization, to {1 / len(claimants):.2g} each for example"
            last = claimants[-1][0]
            problems.add(_path(last, UTILIZATION), message, hint)


def _check_utilization(instance: Instance, problems: Problems) -> None:
    option = instance.option(UTILIZATION)
    value = option.value if option else None
    if option is None or isinstance(value, bool) or not isinstance(value, int | float):
        return
    if not -INFINITE < value < INFINITE:
        return  # `plan_flags` refuses it, as it does for any option
    if not 0 < value <= 1:
        message = f"'{UTILIZATION}': expected a share above 0, up to 1, got {value}"
        hint = f"write {value / PERCENT:g}" if 2 <= value <= PERCENT else "write 0.9"  # noqa: PLR2004
        problems.add(option.path, message, hint)


def _utilization(instance: Instance, facts: Facts) -> float:
    """Return the share of a GPU that a server claims: its setting, else its version's default."""
    value = effective(instance, UTILIZATION)
    try:
        if isinstance(value, int | float | str):
            return float(value)
    except ValueError:
        pass
    known = facts.catalogue.find(UTILIZATION) if facts.catalogue else None
    default = known.default if known else None
    return default if isinstance(default, float) else 0.0


def _spans_nodes(instance: Instance) -> bool:
    """Tell whether other machines bring GPUs too, so that ours cannot be counted here.

    With a [cluster] they are: a machine's share, in `cluster_checks`.
    """
    return (
        (instance.cluster is not None and instance.cluster.nodes != 1)
        or effective_integer(instance, "nnodes", 1) > 1
        or effective(instance, "distributed_executor_backend") == "ray"
        or effective(instance, "data_parallel_backend") == "ray"
    )


def _path(instance: Instance, *names: str) -> Path:
    """Return the place of the first of these options that is set, else of the instance."""
    for name in names:
        option = instance.option(name)
        if option is not None:
            return option.path
    return instance.path()


CHECKS: tuple[Callable[[Instances, Facts, Problems], None], ...] = (
    check_addresses,
    check_logs,
    check_models,
    check_gpus,
    check_gpu_sharing,
    check_extra_args,
    check_secrets,
    check_environment,
    check_multiprocessing,
    check_shutdown,
    check_weight_cache,
)
