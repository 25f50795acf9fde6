"""`weight_cache`: a process that keeps a model's weights on the GPU while its server is restarted.

vLLM's own, `vllm preload`, with `--load-format ipc_cache` for the server (vllm/entrypoints/cli/
preload.py and vllm/model_executor/model_loader/weight_cache, 0.31 and later; NVIDIA GPUs only). The
server waits for it as long as it may take to start, and maps its memory: the process is asked to
stop only when the server has ended. This has not been run on a GPU.
"""

from __future__ import annotations

from launcher.process.spec import LogSpec, ProcessSpec, RestartPolicy
from launcher.record import replace
from launcher.server.facts import is_vllm_module, log_path
from launcher.server.model import ServerOption
from launcher.server.warm import is_cpu_build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import TomlValue
    from launcher.config.reader import Problems
    from launcher.process.spec import Variable
    from launcher.server.facts import Facts
    from launcher.server.model import ControlConfig, Instance
    from launcher.server.options import Flag

KEY = "weight_cache"
FORMAT = "load_format"
LOADER = "model_loader_extra_config"
PRELOAD = ("vllm.entrypoints.cli.main", "preload")
SINCE = (0, 31)
SERVERS_OWN = ("Frontend", "")  # groups of options that `vllm preload` does not have
MEGABYTE = 1_000_000
NAME = ".weights"  # behind the name of the instance
STOP_S = 10.0  # it has no requests to finish


def with_weight_cache(instance: Instance) -> Instance:
    """Return the instance with the options that let its server take the weights from there."""
    if not instance.control.weight_cache or instance.option(FORMAT) or instance.option(LOADER):
        return instance
    path = instance.control_path(KEY)
    waits: dict[str, TomlValue] = {
        "fallback": False,
        "state_timeout_s": instance.control.startup_timeout_s,
        "socket_dir": _socket_folder(instance),
    }
    added = (
        ServerOption(name=FORMAT, value="ipc_cache", path=path),
        ServerOption(name=LOADER, value=waits, path=path),
    )
    return replace(instance, options=(*instance.options, *added))


def _socket_folder(instance: Instance) -> str:
    """Return a folder of the instance's own: several may share a GPU."""
    return f"{instance.control.log_dir.rstrip('/')}/vllm-weights-{instance.name}"


def check_weight_cache(instances: tuple[Instance, ...], facts: Facts, problems: Problems) -> None:
    """Refuse it where it cannot work."""
    names = {instance.name for instance in instances}
    for instance in instances:
        fault, hint = _find_fault(instance, names, facts)
        if instance.control.weight_cache and fault:
            problems.add(instance.control_path(KEY), f"'{KEY}': {fault}", hint)


def _find_fault(instance: Instance, names: set[str], facts: Facts) -> tuple[str, str]:
    """Say why it cannot work for an instance, and what to do; both empty if it can."""
    taken = instance.option(FORMAT) or instance.option(LOADER)
    if taken is not None:
        return f"'{taken.name}' is set as well", "keep one of the two"
    if instance.extra_args:
        hint = "write them as options of [instance.*.server]"
        return "'extra_args' cannot be told to be the engine's or the server's", hint
    if instance.cluster is not None:
        return "not with an instance that spans several machines", f"remove {KEY}"
    if instance.name + NAME in names:
        return f"there is an instance '{instance.name}{NAME}' already", "rename that one"
    return _find_lack(facts)


def _find_lack(facts: Facts) -> tuple[str, str]:
    """Say what the installed server lacks for it, and what to do; both empty if nothing."""
    if not is_vllm_module(facts.module):
        return "only vLLM's own server has it", f"remove {KEY}"
    if is_cpu_build(facts):
        return "vLLM has it for NVIDIA GPUs only", f"remove {KEY}"
    if facts.vllm_version and _parsed(facts.vllm_version) < SINCE:
        return f"vLLM {facts.vllm_version} does not have it", "it came with vLLM 0.31"
    return "", ""


def _parsed(version: str) -> tuple[int, ...]:
    parts = version.partition("+")[0].split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


def keeper_stop_s(control: ControlConfig) -> float:
    """Return the seconds that the process may take to stop once its server has; 0 without one."""
    return min(control.stop_timeout_s, STOP_S) if control.weight_cache else 0.0


def plan_weights(  # noqa: PLR0913
    instance: Instance,
    flags: tuple[Flag, ...],
    prefix: tuple[str, ...],
    facts: Facts,
    *,
    env: tuple[Variable, ...],
    gpus: str,
    restart: RestartPolicy,
) -> ProcessSpec | None:
    """Plan the process that keeps the weights; None for an instance without one."""
    control = instance.control
    if not control.weight_cache or not prefix:
        return None
    words = [
        token for flag in flags if _is_engines(str(flag.path[-1]), facts) for token in flag.tokens
    ]
    folder = ("--weight-cache-socket-dir", _socket_folder(instance))
    path = f"{log_path(instance).removesuffix('.log')}{NAME}.log"
    return ProcessSpec(
        name=instance.name + NAME,
        argv=(*prefix[:-1], *PRELOAD, *words, *folder),
        env=env,
        log=LogSpec(path=path, max_bytes=control.log_max_mb * MEGABYTE, keep=control.log_keep),
        gpus=gpus,
        restart=restart,
        stop_timeout_s=keeper_stop_s(control),
        outlives=instance.name,
    )


def _is_engines(name: str, facts: Facts) -> bool:
    """Tell whether an option is the engine's, so that `vllm preload` takes it."""
    if name == KEY:
        return False
    known = facts.catalogue.find(name) if facts.catalogue else None
    return known is not None and known.group not in SERVERS_OWN
