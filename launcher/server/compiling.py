"""`compile_first`: of servers that would compile the same graph, one does, the others read it.

vLLM keeps what torch.compile has made below VLLM_CACHE_ROOT (vllm/compilation/backends.py, 0.32).
Servers that start together find nothing there and all compile: each for itself, or on CPUs one for
all, file by file, as torch locks them. Where there is something already, nobody waits: it is most
likely theirs.
"""

from __future__ import annotations

from launcher.record import record
from launcher.server.facts import is_vllm_module
from launcher.server.gpus import GpuIds
from launcher.server.warm import LATE, is_cpu_build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from launcher.server.facts import Facts
    from launcher.server.model import Instance, MasterConfig

# Options that tell a server from its twin, and do not change what it computes.
APART = frozenset((
    "api_key", "host", "port", "root_path", "served_model_name", "ssl_ca_certs", "ssl_certfile",
    "ssl_keyfile", "uds", "uvicorn_log_level",
))  # fmt: skip
EAGER = ("--enforce-eager", "--enforce_eager", "-O0", "-O.mode=0")
NOT = (0, "0", "none")  # compilation_config's mode, and optimization_level, without compiling
DISABLED = "VLLM_DISABLE_COMPILE_CACHE"
# Where the cache is: what the configuration sets of these, nobody has looked at.
PLACES = ("VLLM_CACHE_ROOT", "XDG_CACHE_HOME", "HOME")
# Variables that are no part of the cache's key (`compile_factors` in vllm/envs.py, 0.32). What
# binds a server to processors is one, although it changes nothing in the graph.
KEYLESS = frozenset(LATE) - {"VLLM_CPU_OMP_THREADS_BIND"}


@record
class Twin:
    """Another instance that compiles the same graph: `first`, or at the same time, and why."""

    name: str = ""  # empty: there is none
    first: bool = False
    reason: str = ""


def find_twins(
    instances: tuple[Instance, ...], master: MasterConfig, facts: Facts
) -> dict[str, Twin]:
    """Return, for each instance whose graph another one before it compiles, that one.

    Where something has been compiled before, nobody has a twin.
    """
    if not (is_vllm_module(facts.module) and facts.compile_cache_is_empty):
        return {}
    first, reason = _choose_order(master, facts)
    variables = {setting.name: setting.value for setting in master.env}
    seen: dict[Hashable, str] = {}
    twins: dict[str, Twin] = {}
    for instance in instances:
        own = {setting.name: setting.value for setting in instance.env}
        everything = {**facts.environ, **variables, **own}
        moved = any(name in variables or name in own for name in PLACES)
        if _is_eager(instance) or moved or everything.get(DISABLED, "0") != "0":
            continue
        name = seen.setdefault(_graph(instance, own), instance.name)
        if name != instance.name:
            twins[instance.name] = Twin(name=name, first=first, reason=reason)
    return twins


def _choose_order(master: MasterConfig, facts: Facts) -> tuple[bool, str]:
    """Return whether one compiles before the others, and why."""
    if master.compile_first is not None:
        return master.compile_first, "as configured"
    if is_cpu_build(facts):
        return False, "one first takes longer on CPUs"
    return True, "nothing has been compiled yet"


def _is_eager(instance: Instance) -> bool:
    """Tell whether nothing is compiled; what the table says of it counts before the level."""
    values = {each.name: each.value for each in instance.options}
    table = values.get("compilation_config")
    mode = table.get("mode") if isinstance(table, dict) else None
    wish = values.get("optimization_level") if mode is None else mode
    return (
        values.get("enforce_eager") is True
        or (wish.lower() if isinstance(wish, str) else wish) in NOT
        or any(word in EAGER for word in instance.extra_args)
    )


def _graph(instance: Instance, own: dict[str, str]) -> Hashable:
    """Return what two instances have in common that compile the same."""
    options = {each.name: repr(each.value) for each in instance.options if each.name not in APART}
    variables = {name: value for name, value in own.items() if name not in KEYLESS}
    gpus = instance.control.gpu_ids
    count = len(gpus.ids) if isinstance(gpus, GpuIds) else str(gpus)
    return (
        tuple(sorted(options.items())),
        tuple(sorted(variables.items())),
        instance.extra_args,
        count,
    )
