"""Overrides for another home, as the JSON of AUTO_INFER_VLLM_OVERRIDES: what differs there, only.

The TOML file stays as it is, the one source of truth; what a container changes (GPUs are numbered
anew in it, and loopback is its own) is said over it.
"""

from __future__ import annotations

import json
import re

from launcher.render.model import LOG_DIR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import TomlValue
    from launcher.render.model import Server, Workload

# What a scheduler says of each pod, whatever the file says of the machines it was written for.
PLACES = {"rank": "VLLMD_CLUSTER_RANK", "leader": "VLLMD_CLUSTER_LEADER"}
EVERYWHERE = "0.0.0.0"  # noqa: S104  (inside a container; what is published is said outside)


def merge(base: Mapping[str, TomlValue], over: Mapping[str, TomlValue]) -> dict[str, TomlValue]:
    """Merge two JSON objects, the second stronger; a null stays, it removes keys of the file."""
    merged: dict[str, TomlValue] = dict(base)
    for key, value in over.items():
        former = merged.get(key)
        both = isinstance(former, dict) and isinstance(value, dict)
        merged[key] = merge(former, value) if both else value  # type: ignore[arg-type]
    return merged


def for_container(workload: Workload) -> dict[str, TomlValue]:
    """Return the overrides for one container that holds all instances."""
    held = held_gpus(workload)
    all_are_there = any(server.every_gpu for server in workload.servers)
    numbers = {gpu: str(number) for number, gpu in enumerate(held)}
    found = dict(workload.overrides)
    for server in workload.servers:
        wanted = [gpu if is_identifier(gpu) else numbers[gpu] for gpu in server.gpus]
        if wanted != list(server.gpus) and not all_are_there:
            found = merge(found, _instance(server, "control", {"gpu_ids": ",".join(wanted)}))
        # On the host's own network, an address means what it says.
        found = merge(found, _at_home(server, is_hosts_network=workload.spans()))
    return found


def for_pod(workload: Workload, server: Server) -> dict[str, TomlValue]:
    """Return the overrides for a pod that holds one instance alone."""
    found = dict(workload.overrides)
    for other in workload.servers:
        if other.name != server.name:
            found = merge(found, _instance(other, "control", {"enabled": False}))
    control: dict[str, TomlValue] = {"background": False}
    if not server.restart:
        control["restart"] = "on-failure"  # as in the background: a pod takes longer to come back
    if server.gpus:
        control["gpu_ids"] = "all"
    found = merge(found, _instance(server, "control", control))
    found = merge(found, _at_home(server))
    said = [key for key in PLACES if server.spans() and PLACES[key] not in server.open_places]
    if said:
        found = merge(found, _instance(server, "cluster", dict.fromkeys(said)))
    port = workload.listen_port
    return merge(found, {"master": {"listen": f"{EVERYWHERE}:{port}"}})


def render_overrides(overrides: Mapping[str, TomlValue]) -> str:
    """Return the JSON text; empty where nothing differs."""
    return json.dumps(overrides) if overrides else ""


def held_gpus(workload: Workload) -> tuple[str, ...]:
    """Return the ids of all GPUs that are named, each once, lowest first."""
    named = {gpu for server in workload.servers for gpu in server.gpus}
    return tuple(sorted(named, key=lambda gpu: (not gpu.isdigit(), len(gpu), gpu)))


def is_identifier(gpu: str) -> bool:
    """Tell whether a GPU is called by a name that is the same everywhere."""
    return re.match(r"(GPU|MIG)-", gpu) is not None


def _at_home(server: Server, *, is_hosts_network: bool = False) -> dict[str, TomlValue]:
    """Return what every container changes: the interface, and the folder that keeps logs.

    The image's user may write to its volume for logs; any other folder would be root's.
    """
    found: dict[str, TomlValue] = {}
    if server.keeps_log:
        log = f"{LOG_DIR}/vllm-server-{server.name}.log"
        found = merge(found, _instance(server, "control", {"log_file": log}))
    if server.interface and not server.socket_path and not is_hosts_network:
        found = merge(found, _instance(server, "server", {"host": EVERYWHERE}))
    return found


def _instance(server: Server, table: str, values: dict[str, TomlValue]) -> dict[str, TomlValue]:
    return {"instance": {server.name: {table: values}}}
