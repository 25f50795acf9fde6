"""A compose project: one service that runs the launcher, with all instances in it.

One service and not one for each instance: servers that share a GPU have to start one after
another, which the launcher does. Source of the keys: the Compose Specification.
"""

from __future__ import annotations

from launcher.render.model import (
    CACHE_DIR,
    CONFIG_DIR,
    GIB,
    GRACE_VARIABLE,
    IMAGE_USER,
    LOG_DIR,
    OutputFile,
)
from launcher.render.overrides import for_container, held_gpus, render_overrides
from launcher.render.yaml_text import Flow, Note, render_yaml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.render.model import Server, Workload
    from launcher.render.yaml_text import Node

FILE = "compose.yaml"
# What each machine of a cluster says of itself.
PLACES = {
    "VLLMD_CLUSTER_NODES": "How many machines there are.",
    "VLLMD_CLUSTER_RANK": "Which of them this is: 0 on the leader, then 1, 2, ...",
    "VLLMD_CLUSTER_LEADER": "The leader's name or address.",
}
NAMED = "What the file takes from the environment of each machine."
SPARE_S = 60  # beyond the start of the servers, before Docker counts failed checks


def render_compose(workload: Workload) -> tuple[OutputFile, ...]:
    """Return the compose file."""
    heading = (
        f"{workload.project}: rendered by 'vllmd render compose' from {workload.file_name}.\n"
        "The servers are described there, and only there. Render again when their ports, GPUs,\n"
        "secrets or timeouts change; for anything else restart, or 'vllmd reload'."
    )
    document: dict[str, Node] = {
        "name": workload.project,
        "services": {workload.project: _service(workload)},
        "configs": {workload.project: {"file": f"./{workload.file_name}"}},
        "volumes": _volumes(workload),
    }
    if workload.secret_files:
        document["secrets"] = Note(
            comment="Files beside this one, which the user below must be able to read. Keep them\n"
            "out of version control.",
            value={
                _secret_name(path): {"file": f"./secrets/{_secret_name(path)}"}
                for path in workload.secret_files
            },
        )
    return (OutputFile(name=FILE, text=render_yaml([document], heading)),)


def _service(workload: Workload) -> dict[str, Node]:
    shm = sum(server.shm_bytes() for server in workload.servers) // GIB
    service: dict[str, Node] = {
        "image": Note(
            comment="Any image with vLLM and vllmd in it: 'make image' builds this one.",
            value=workload.image,
        ),
        "environment": _environment(workload),
        "configs": [{"source": workload.project, "target": _config_path(workload)}],
        "volumes": _mounts(workload),
    }
    if workload.secret_files:
        service["secrets"] = [
            {"source": _secret_name(path), "target": _plain(path)} for path in workload.secret_files
        ]
    if workload.spans():
        service["network_mode"] = Note(
            comment="The machines of a cluster connect to each other on many ports.", value="host"
        )
    ports: list[Node] = [_port(server) for server in workload.servers if not server.socket_path]
    if ports and not workload.spans():
        service["ports"] = Note(
            comment="HOST:CONTAINER. Anybody who reaches the host reaches these.", value=ports
        )
    service["shm_size"] = Note(
        comment="Processes of one server exchange data here; Docker's default of 64 MB stops them.",
        value=f"{max(shm, 1)}g",
    )
    service["deploy"] = _devices(workload)
    if workload.spans():
        service["ulimits"] = Note(
            comment="RDMA pins memory. An engine without the right to allow it refuses this.",
            value={"memlock": -1},
        )
    service.update(_confinement())
    service["healthcheck"] = _healthcheck(workload)
    service["stop_grace_period"] = Note(
        comment="Longer than the launcher's own patience: it kills what does not stop, Docker not.",
        value=f"{workload.grace_s()}s",
    )
    service["restart"] = Note(
        comment="The launcher restarts servers; this is for the launcher, and for a reboot.",
        value="unless-stopped",
    )
    if not _needs_gpu(workload):
        del service["deploy"]
    return service


def _environment(workload: Workload) -> dict[str, Node]:
    found: dict[str, Node] = {"AUTO_INFER_VLLM_CONFIG": _config_path(workload)}
    overrides = render_overrides(for_container(workload))
    if overrides:
        found["AUTO_INFER_VLLM_OVERRIDES"] = Note(
            comment="Merged over the file: what is different inside the container.",
            value=_plain(overrides),
        )
    found[GRACE_VARIABLE] = Note(
        comment="As stop_grace_period below: the launcher warns of a server that may take longer.",
        value=str(workload.grace_s()),
    )
    for name in workload.secret_variables:
        found[name] = Note(
            comment="From your shell, or from a file '.env' that is not committed.",
            value=f"${{{name}:?set {name} in the environment or in .env}}",
        )
    for name in workload.open_places():
        found[name] = Note(comment=PLACES.get(name, NAMED), value=f"${{{name}:?see compose.yaml}}")
    return found


def _mounts(workload: Workload) -> list[Node]:
    found: list[Node] = [
        Note(
            comment="Downloads and compiled graphs, kept over restarts.",
            value=f"cache:{CACHE_DIR}",
        )
    ]
    if workload.model_dirs:
        first, *others = (_bind(path, read_only=True) for path in workload.model_dirs)
        found += [Note(comment="Read by the servers; nothing is made where it is missing.",
                       value=first), *others]  # fmt: skip
    if workload.written_dirs:
        first, *others = (_bind(path, read_only=False) for path in workload.written_dirs)
        comment = f"The file has servers write here: it must be there, and user {IMAGE_USER}'s."
        found += [Note(comment=comment, value=first), *others]
    if workload.keeps_logs():
        found.append(f"logs:{LOG_DIR}")
    return found


def _bind(path: str, *, read_only: bool) -> dict[str, Node]:
    """Mount a folder of the host. The short form would make a missing one, empty and root's."""
    bind: dict[str, Node] = {"type": "bind", "source": _plain(path), "target": _plain(path)}
    if read_only:
        bind["read_only"] = True
    return {**bind, "bind": {"create_host_path": False}}


def _plain(text: str) -> str:
    """Write a text in which a dollar sign would be Compose's own."""
    return text.replace("$", "$$")


def _volumes(workload: Workload) -> dict[str, Node]:
    return {"cache": {}, "logs": {}} if workload.keeps_logs() else {"cache": {}}


def _port(server: Server) -> Node:
    if not server.interface:
        return server.published()
    return Note(
        comment="Published only where the file says that it listens.", value=server.published()
    )


def _needs_gpu(workload: Workload) -> bool:
    return any(server.needs_gpu() for server in workload.servers)


def _devices(workload: Workload) -> Node:
    """Reserve the GPUs that are named, or all where an instance takes all."""
    named = held_gpus(workload)
    device: dict[str, Node] = {"driver": "nvidia"}
    if any(server.every_gpu for server in workload.servers):
        device["count"] = "all"
    else:
        device["device_ids"] = Flow(items=named)
    device["capabilities"] = Flow(items=("gpu",))
    return {"resources": {"reservations": {"devices": [device]}}}


def _confinement() -> dict[str, Node]:
    return {
        "user": f"{IMAGE_USER}:{IMAGE_USER}",
        "read_only": Note(
            comment="Only the volumes and these two can be written to. Compilers run what they\n"
            "have written to /tmp, which Docker does not allow by itself.",
            value=True,
        ),
        "tmpfs": ["/tmp:exec,mode=1777", "/run:mode=1777"],  # noqa: S108  (the container's own)
        "cap_drop": Flow(items=("ALL",)),
        "security_opt": Flow(items=("no-new-privileges:true",)),
    }


def _healthcheck(workload: Workload) -> dict[str, Node]:
    return {
        "test": Flow(items=("CMD", "vllmd", "status")),
        "interval": "30s",
        "timeout": "10s",
        "start_period": f"{int(workload.startup_s) + SPARE_S}s",
    }


def _config_path(workload: Workload) -> str:
    return f"{CONFIG_DIR}/{workload.file_name}"


def _secret_name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
