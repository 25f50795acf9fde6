"""A quadlet: Podman's container as a systemd service, with its cache volume.

Source of the keys: podman-systemd.unit(5) of Podman 5.4.
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
from launcher.render.unit_text import COMMENT, in_command, quoted, render_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.render.model import Workload
    from launcher.render.unit_text import Lines

SPARE_S = 60


def render_quadlet(workload: Workload) -> tuple[OutputFile, ...]:
    """Return the container's unit and those of its volumes."""
    name = workload.project
    heading = (
        f"{name}: rendered by 'vllmd render quadlet' from {workload.file_name}.\n"
        "Copy this folder's files to /etc/containers/systemd/ (or, for one user, to\n"
        "~/.config/containers/systemd/), then: systemctl daemon-reload && systemctl start "
        f"{name}"
    )
    container = render_unit(
        heading,
        [
            ("Unit", _unit(workload)),
            ("Container", _container(workload)),
            ("Service", _service(workload)),
            ("Install", [("WantedBy", "multi-user.target default.target")]),
        ],
    )
    volumes = [
        OutputFile(
            name=f"{name}-{volume}.volume",
            text=render_unit(f"{text}, kept over restarts.", [("Volume", [])]),
        )
        for volume, text in _volumes(workload)
    ]
    return (OutputFile(name=f"{name}.container", text=container), *volumes)


def _unit(workload: Workload) -> Lines:
    return [
        ("Description", f"vLLM servers of {workload.file_name}"),
        ("Wants", "network-online.target"),
        ("After", "network-online.target"),
        (COMMENT, "A file that cannot work is not tried for ever."),
        ("StartLimitIntervalSec", "600"),
        ("StartLimitBurst", "5"),
    ]


def _volumes(workload: Workload) -> list[tuple[str, str]]:
    cache = ("cache", "Downloads and compiled graphs")
    return [cache, ("logs", "Logs")] if workload.keeps_logs() else [cache]


def _container(workload: Workload) -> Lines:
    path = f"{CONFIG_DIR}/{workload.file_name}"
    lines: Lines = [
        ("Image", _full_image(workload.image)),
        ("ContainerName", workload.project),
        (COMMENT, "The servers are described there, and only there."),
        ("Volume", f"./{workload.file_name}:{path}:ro,Z"),
        ("Environment", f"AUTO_INFER_VLLM_CONFIG={path}"),
    ]
    overrides = render_overrides(for_container(workload))
    if overrides:
        lines.append((COMMENT, "Merged over the file: what is different inside the container."))
        lines.append(("Environment", _variable(overrides)))
    lines.append((COMMENT, "As StopTimeout: the launcher warns of a server that may take longer."))
    lines.append(("Environment", f"{GRACE_VARIABLE}={workload.grace_s()}"))
    lines += _secrets(workload)
    if workload.open_places():
        names = ", ".join(workload.open_places())
        lines.append((COMMENT, f"What each machine says of itself: {names}."))
        lines.append(("EnvironmentFile", f"/etc/vllmd/{workload.project}-cluster.env"))
    if workload.spans():
        lines.append((COMMENT, "The machines of a cluster connect to each other on many ports."))
        lines.append(("Network", "host"))
        lines.append((COMMENT, "RDMA pins memory."))
        lines.append(("Ulimit", "memlock=-1:-1"))
    else:
        lines += _ports(workload)
        if workload.has_low_port():
            lines.append((COMMENT, "Ports below 1024, without a capability."))
            lines.append(("Sysctl", "net.ipv4.ip_unprivileged_port_start=0"))
    lines.append(("Volume", f"{workload.project}-cache.volume:{CACHE_DIR}"))
    lines += [("Volume", in_command(f"{path}:{path}:ro")) for path in workload.model_dirs]
    if workload.written_dirs:
        comment = f"The file has servers write here: it must be there, and user {IMAGE_USER}'s."
        lines.append((COMMENT, comment))
    lines += [("Volume", in_command(f"{path}:{path}")) for path in workload.written_dirs]
    if workload.keeps_logs():
        lines.append(("Volume", f"{workload.project}-logs.volume:{LOG_DIR}"))
    lines += _gpus(workload)
    shm = sum(server.shm_bytes() for server in workload.servers) // GIB
    return [
        *lines,
        (COMMENT, "Processes of one server exchange data there; the default is 64 MB."),
        ("ShmSize", f"{max(shm, 1)}g"),
        ("User", str(IMAGE_USER)),
        ("Group", str(IMAGE_USER)),
        (COMMENT, "Only the volumes, /tmp and /run can be written to."),
        ("ReadOnly", "true"),
        ("Tmpfs", "/run:mode=1777"),
        ("DropCapability", "all"),
        ("NoNewPrivileges", "true"),
        (COMMENT, "The service is up when all servers are ready: the launcher says so itself."),
        ("Notify", "true"),
        ("HealthCmd", "vllmd status"),
        ("HealthInterval", "30s"),
        ("HealthTimeout", "10s"),
        ("HealthStartPeriod", f"{int(workload.startup_s) + SPARE_S}s"),
        ("StopTimeout", str(workload.grace_s())),
    ]


def _variable(overrides: str) -> str:
    # The generator takes the quotes away, and writes the rest into a command.
    return quoted(f"AUTO_INFER_VLLM_OVERRIDES={overrides}").replace("$", "$$")


def _full_image(image: str) -> str:
    """Say where an image is: Podman calls its own builds `localhost/...`, and asks otherwise."""
    return image if "/" in image else f"localhost/{image}"


def _secrets(workload: Workload) -> Lines:
    lines: Lines = []
    for name in workload.secret_variables:
        lines.append((COMMENT, f'printf %s "${name}" | podman secret create {name} -'))
        lines.append(("Secret", f"{name},type=env,target={name}"))
    for path in workload.secret_files:
        name = path.rpartition("/")[2]
        lines.append((COMMENT, f"podman secret create {name} FILE"))
        lines.append(("Secret", f"{name},type=mount,target={in_command(path)},mode=0444"))
    return lines


def _ports(workload: Workload) -> Lines:
    return [
        ("PublishPort", server.published()) for server in workload.servers if not server.socket_path
    ]


def _gpus(workload: Workload) -> Lines:
    """Return the GPUs as CDI names them (nvidia-ctk cdi generate)."""
    if not any(server.needs_gpu() for server in workload.servers):
        return []
    every = any(server.every_gpu for server in workload.servers)
    names = ("all",) if every else held_gpus(workload)
    lines: Lines = [(COMMENT, "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml")]
    return [*lines, *(("AddDevice", f"nvidia.com/gpu={name}") for name in names)]


def _service(workload: Workload) -> Lines:
    return [
        ("Restart", "on-failure"),
        ("RestartSec", "5"),
        (COMMENT, "78: the configuration is wrong, and stays so."),
        ("RestartPreventExitStatus", "78"),
        ("TimeoutStartSec", str(int(workload.startup_s) + SPARE_S)),
        ("TimeoutStopSec", str(workload.grace_s() + 15)),
    ]
