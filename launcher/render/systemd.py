"""A systemd unit: the launcher without a container, confined as far as GPUs allow.

Source of the keys: systemd.service(5), systemd.exec(5), systemd.kill(5) of systemd 252.
"""

from __future__ import annotations

from launcher.render.model import GRACE_VARIABLE, OutputFile
from launcher.render.overrides import render_overrides
from launcher.render.unit_text import COMMENT, quoted, render_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.render.model import Options, Workload
    from launcher.render.unit_text import Lines

CONFIG_DIR = "/etc/vllmd"
SPARE_S = 60
LOW_PORTS = "CAP_NET_BIND_SERVICE"


def render_systemd(workload: Workload, options: Options) -> tuple[OutputFile, ...]:
    """Return the unit."""
    name = f"vllmd-{workload.project}"
    heading = (
        f"{name}: rendered by 'vllmd render systemd' from {workload.file_name}.\n"
        f"  useradd --system --home-dir /var/lib/vllmd vllmd\n"
        f"  install -D -m 644 {workload.file_name} {CONFIG_DIR}/{workload.file_name}\n"
        f"  install -m 644 {name}.service /etc/systemd/system/\n"
        f"  systemctl daemon-reload && systemctl enable --now {name}"
    )
    text = render_unit(
        heading,
        [
            ("Unit", _unit(workload)),
            ("Service", [*_service(workload, options, name), *_confinement(workload)]),
            ("Install", [("WantedBy", "multi-user.target")]),
        ],
    )
    return (OutputFile(name=f"{name}.service", text=text),)


def _unit(workload: Workload) -> Lines:
    return [
        ("Description", f"vLLM servers of {workload.file_name}"),
        ("Wants", "network-online.target"),
        ("After", "network-online.target nvidia-persistenced.service"),
        (COMMENT, "A launcher that fails again and again is not tried for ever."),
        ("StartLimitIntervalSec", "600"),
        ("StartLimitBurst", "5"),
    ]


def _service(workload: Workload, options: Options, name: str) -> Lines:
    config = f"{CONFIG_DIR}/{workload.file_name}"
    lines: Lines = [
        (COMMENT, "Active when all servers are ready: the launcher says so itself."),
        ("Type", "notify"),
        ("ExecStart", f"{quoted(options.program)} run {quoted(config)}"),
        (COMMENT, "Reads the file again and restarts only what changed."),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
        ("Environment", "XDG_CACHE_HOME=/var/cache/vllmd"),
        ("Environment", "HF_HOME=/var/cache/vllmd/huggingface"),
    ]
    overrides = render_overrides(workload.overrides)
    if overrides:
        lines.append((COMMENT, "Merged over the file."))
        lines.append(("Environment", quoted(f"AUTO_INFER_VLLM_OVERRIDES={overrides}")))
    if workload.secret_variables:
        names = ", ".join(workload.secret_variables)
        lines.append((COMMENT, f"Holds {names}; mode 0600, owner root."))
        lines.append(("EnvironmentFile", f"{CONFIG_DIR}/{workload.project}.env"))
    if workload.open_places():
        names = ", ".join(workload.open_places())
        lines.append((COMMENT, f"What each machine says of itself: {names}."))
        lines.append(("EnvironmentFile", f"{CONFIG_DIR}/{workload.project}-cluster.env"))
    lines += [
        (COMMENT, f"The user vllmd must be able to read {each}.") for each in workload.secret_files
    ]
    return [
        *lines,
        ("Restart", "on-failure"),
        ("RestartSec", "5"),
        (COMMENT, "78: the configuration is wrong, and stays so."),
        ("RestartPreventExitStatus", "64 78"),
        ("TimeoutStartSec", str(int(workload.startup_s) + SPARE_S)),
        ("TimeoutStopSec", str(workload.grace_s())),
        (COMMENT, "As the line above: the launcher warns of a server that may take longer."),
        ("Environment", f"{GRACE_VARIABLE}={workload.grace_s()}"),
        (COMMENT, "The launcher stops its servers itself; what is left afterwards is killed."),
        ("KillMode", "mixed"),
        ("User", "vllmd"),
        (COMMENT, f"For the control socket: vllmd status --socket /run/{name}/vllmd/vllmd.sock"),
        ("RuntimeDirectory", name),
        ("RuntimeDirectoryMode", "0700"),
        ("Environment", f"XDG_RUNTIME_DIR=/run/{name}"),
        ("CacheDirectory", "vllmd"),
        ("StateDirectory", "vllmd"),
        ("WorkingDirectory", "/var/lib/vllmd"),
    ]


def _confinement(workload: Workload) -> Lines:
    lines: Lines = [
        ("UMask", "0077"),
        ("LimitNOFILE", "65536"),
        ("LimitMEMLOCK", "infinity"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", LOW_PORTS if workload.has_low_port() else ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "read-only"),
        ("PrivateTmp", "yes"),
        ("ProtectKernelTunables", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectKernelLogs", "yes"),
        ("ProtectControlGroups", "yes"),
        ("ProtectClock", "yes"),
        ("ProtectHostname", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("RestrictNamespaces", "yes"),
        ("RestrictRealtime", "yes"),
        ("LockPersonality", "yes"),
        ("SystemCallArchitectures", "native"),
        ("SystemCallFilter", "@system-service"),
        (COMMENT, "An error, which libraries know how to take, and not SIGSYS."),
        ("SystemCallErrorNumber", "EPERM"),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
        (COMMENT, "GPUs are devices, and compilers write code: so neither PrivateDevices nor"),
        (COMMENT, "MemoryDenyWriteExecute."),
    ]
    if workload.has_low_port():
        lines.append((COMMENT, "Ports below 1024."))
        lines.append(("AmbientCapabilities", LOW_PORTS))
    for path in (*workload.log_dirs, *workload.written_dirs):
        lines.append((COMMENT, f"install -d -o vllmd {path}"))
        lines.append(("ReadWritePaths", f"-{quoted(path)}"))
    return lines
