"""Servers that would compile the same graph at the same time: one does, the others read its cache.

vLLM keeps what torch.compile has made below VLLM_CACHE_ROOT (vllm/compilation/backends.py, 0.32).
Servers that start together find nothing there and all compile. Where there is something already,
nobody waits: it is most likely theirs.
"""

from __future__ import annotations

from launcher.server.facts import is_vllm_module
from launcher.server.gpus import GpuIds
from launcher.server.warm import LATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from launcher.server.facts import Facts
    from launcher.server.model import Instance

# Options that tell a server from its twin, and do not change what it computes.
APART = frozenset((
    "api_key", "host", "port", "root_path", "served_model_name", "ssl_ca_certs", "ssl_certfile",
    "ssl_keyfile", "uds", "uvicorn_log_level",
))  # fmt: skip
EAGER = ("--enforce-eager", "--enforce_eager", "-O0", "-O.mode=0")
DISABLED = "VLLM_DISABLE_COMPILE_CACHE"
# Where the cache is: what the configuration sets of these, nobody has looked at.
PLACES = ("VLLM_CACHE_ROOT", "XDG_CACHE_HOME", "HOME")


def find_compilers(
    instances: tuple[Instance, ...], variables: dict[str, str], facts: Facts
) -> dict[str, str]:
    """Return, for each instance that is to wait for another's compilation, that one's name.

    `variables` are those of `[master.env]`.
    """
    if not (is_vllm_module(facts.module) and facts.compile_cache_is_empty):
        return {}
    first: dict[Hashable, str] = {}
    waiting: dict[str, str] = {}
    for instance in instances:
        own = {setting.name: setting.value for setting in instance.env}
        everything = {**facts.environ, **variables, **own}
        moved = any(name in variables or name in own for name in PLACES)
        if _is_eager(instance) or moved or everything.get(DISABLED, "0") != "0":
            continue
        compiler = first.setdefault(_graph(instance, own), instance.name)
        if compiler != instance.name:
            waiting[instance.name] = compiler
    return waiting


def _is_eager(instance: Instance) -> bool:
    option = instance.option("enforce_eager")
    return (option is not None and option.value is True) or any(
        word in EAGER for word in instance.extra_args
    )


def _graph(instance: Instance, own: dict[str, str]) -> Hashable:
    """Return what two instances have in common that compile the same."""
    options = {each.name: repr(each.value) for each in instance.options if each.name not in APART}
    variables = {name: value for name, value in own.items() if name not in LATE}
    gpus = instance.control.gpu_ids
    count = len(gpus.ids) if isinstance(gpus, GpuIds) else str(gpus)
    return (
        tuple(sorted(options.items())),
        tuple(sorted(variables.items())),
        instance.extra_args,
        count,
    )
