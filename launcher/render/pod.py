"""The pod that runs one instance, for a Deployment or for each machine of a LeaderWorkerSet."""

from __future__ import annotations

import hashlib

from launcher.render.model import (
    CACHE_DIR,
    CONFIG_DIR,
    FIRST_FREE_PORT,
    GIB,
    GRACE_VARIABLE,
    IMAGE_USER,
    KILL_S,
    LOG_DIR,
)
from launcher.render.overrides import for_pod, render_overrides
from launcher.render.yaml_text import Flow, Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import TomlValue
    from launcher.render.model import Server, Workload
    from launcher.render.yaml_text import Node

PROBE_PERIOD_S = 10
SPARE_S = 60  # beyond the start of the server, for the launcher to say what went wrong
LONGEST_NAME = 52  # of 63: a controller labels its pods with its name and a hash behind it
LONGEST_SET = 48  # the StatefulSet of each group's workers adds the number of the group


def secret_name(workload: Workload) -> str:
    """Return the name of the Secret that holds what the configuration only refers to."""
    return f"{workload.project}-secrets"


def models_claim(workload: Workload) -> str:
    """Return the name of the claim that holds the models."""
    return f"{workload.project}-models"


def full_name(workload: Workload, server: Server) -> str:
    """Return the name of an instance's objects; a long one is cut, and still one of its own."""
    whole = f"{workload.project}-{server.label}"
    longest = LONGEST_SET if server.spans() else LONGEST_NAME
    if len(whole) <= longest:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{whole[: longest - len(digest) - 1].rstrip('-')}-{digest}"


def service_name(workload: Workload, server: Server) -> str:
    """Return the name of an instance's Service.

    That of a LeaderWorkerSet is not the set's: by this name its controller makes a headless
    Service, in which the pods of a group find each other.
    """
    name = full_name(workload, server)
    if server.spans():
        taken = {full_name(workload, each) for each in workload.servers}
        while name in taken:
            name = f"{name}-leader"
    return name


def labels(workload: Workload, server: Server) -> dict[str, Node]:
    """Return the labels by which a pod is found."""
    return {
        "app.kubernetes.io/name": "vllmd",
        "app.kubernetes.io/instance": full_name(workload, server),
        "app.kubernetes.io/part-of": workload.project,
    }


def selector(workload: Workload, server: Server) -> dict[str, Node]:
    """Return the labels that tell an instance's pods from all others."""
    found = labels(workload, server)
    return {key: found[key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/instance")}


def claim_name(workload: Workload, server: Server) -> str:
    """Return the name of the claim for an instance's cache."""
    return f"{full_name(workload, server)}-cache"


def cache_size(workload: Workload) -> Node:
    """Return how large a cache to ask for."""
    return Note(
        comment="Compiled graphs, and the model where it is downloaded.",
        value="20Gi" if workload.model_dirs else "200Gi",
    )


def pod_template(workload: Workload, server: Server, *, worker: bool = False) -> dict[str, Node]:
    """Return the pod that runs one instance; a `worker` of it answers no requests."""
    serves = not worker and not server.socket_path
    digest = hashlib.sha256(workload.text.encode()).hexdigest()
    return {
        "metadata": {
            "labels": labels(workload, server),
            "annotations": Note(
                comment="Another configuration is another pod.",
                value={"vllmd/config-sha256": digest[:16]},
            ),
        },
        "spec": {
            "terminationGracePeriodSeconds": int(server.stop_s) + KILL_S,
            "automountServiceAccountToken": False,
            "enableServiceLinks": Note(
                comment="A Service called vllm would set VLLM_PORT, which vLLM takes for its own.",
                value=False,
            ),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": IMAGE_USER,
                "runAsGroup": IMAGE_USER,
                "fsGroup": IMAGE_USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
                **_low_port(server),
            },
            "containers": [_container(workload, server, serves=serves)],
            "volumes": _pod_volumes(workload, server),
        },
    }


def _low_port(server: Server) -> dict[str, Node]:
    """Let a server without capabilities have a port below 1024 (a safe sysctl since 1.22)."""
    if server.socket_path or server.port >= FIRST_FREE_PORT:
        return {}
    return {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]}


def _container(workload: Workload, server: Server, *, serves: bool) -> dict[str, Node]:
    return {
        "name": "server",
        "image": Note(comment="Its ENTRYPOINT is the launcher.", value=workload.image),
        "env": _env(workload, server, for_pod(workload, server)),
        "ports": _ports(workload, server, serves=serves),
        "resources": _resources(workload, server),
        **_probes(server, serves=serves),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": Flow(items=("ALL",))},
        },
        "volumeMounts": _mounts(workload, server),
    }


def _env(workload: Workload, server: Server, overrides: Mapping[str, TomlValue]) -> list[Node]:
    found: list[Node] = [
        {"name": "AUTO_INFER_VLLM_CONFIG", "value": f"{CONFIG_DIR}/{workload.file_name}"},
        Note(
            comment="Merged over the file: this pod runs one instance of it.",
            value={
                "name": "AUTO_INFER_VLLM_OVERRIDES",
                "value": _plain(render_overrides(overrides)),
            },
        ),
    ]
    grace = str(int(server.stop_s) + KILL_S)
    comment = (
        "As terminationGracePeriodSeconds: the launcher warns of a server that may take longer."
    )
    found.append(Note(comment=comment, value={"name": GRACE_VARIABLE, "value": grace}))
    for name in workload.secret_variables:
        reference: dict[str, Node] = {"name": secret_name(workload), "key": name}
        found.append({"name": name, "valueFrom": {"secretKeyRef": reference}})
    return found


def _plain(text: str) -> str:
    """Write a text in which `$(NAME)` would be a variable of the pod."""
    return text.replace("$", "$$")


def _ports(workload: Workload, server: Server, *, serves: bool) -> list[Node]:
    found: list[Node] = []
    if serves:
        found.append({"name": "http", "containerPort": server.port})
    found.append({"name": "launcher", "containerPort": workload.listen_port})
    return found


def _resources(workload: Workload, server: Server) -> Node:
    comment = "Add cpu and memory by what you see: 'kubectl top pod' after some load."
    if not server.needs_gpu():
        return Note(comment=comment, value={})
    if any(gpu.startswith("MIG-") for gpu in server.gpus):
        comment += "\nThe file names slices (MIG): see what 'kubectl describe node' calls them."
    others = workload.sharing(server)
    if others:
        names = ", ".join(f"'{name}'" for name in others)
        comment += (
            f"\nThe file puts it on one GPU with {names}; a pod gets GPUs of its own. To share,"
            "\nset up time-slicing or MPS in the device plugin."
        )
    return Note(comment=comment, value={"limits": {"nvidia.com/gpu": server.gpu_count()}})


def _probes(server: Server, *, serves: bool) -> dict[str, Node]:
    health = _http("/health", "http", tls=server.tls)
    ready = health if serves else _http("/readyz", "launcher")
    seconds = int(server.startup_s)
    failures = -(-(seconds + SPARE_S) // PROBE_PERIOD_S)
    return {
        "startupProbe": Note(
            comment=f"Up to {seconds} s to load, as startup_timeout_s says, and {SPARE_S} s"
            "\nfor the launcher to say why it did not.",
            value={
                "httpGet": ready,
                "periodSeconds": PROBE_PERIOD_S,
                "failureThreshold": failures,
                "timeoutSeconds": 5,
            },
        ),
        "readinessProbe": {
            "httpGet": ready,
            "periodSeconds": PROBE_PERIOD_S,
            "failureThreshold": 3,
            "timeoutSeconds": 5,
        },
        "livenessProbe": Note(
            comment="The launcher. It restarts a server that fails; the pod need not die for it.",
            value={
                "httpGet": _http("/healthz", "launcher"),
                "periodSeconds": 20,
                "failureThreshold": 3,
                "timeoutSeconds": 5,
            },
        ),
    }


def _http(path: str, port: str, *, tls: bool = False) -> Node:
    found: dict[str, Node] = {"path": path, "port": port}
    return {**found, "scheme": "HTTPS"} if tls else found


def _mounts(workload: Workload, server: Server) -> list[Node]:
    found: list[Node] = [
        _config_mount(workload),
        {"name": "cache", "mountPath": CACHE_DIR},
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        {"name": "run", "mountPath": "/run"},
    ]
    for path in workload.model_dirs:
        mount: dict[str, Node] = {"name": "models", "mountPath": path, "readOnly": True}
        if len(workload.model_dirs) > 1:
            mount["subPath"] = path.strip("/")
        found.append(mount)
    found += [
        {"name": "cache", "mountPath": path, "subPath": path.strip("/")}
        for path in workload.written_dirs
        if not path.startswith(f"{CACHE_DIR}/") and path != CACHE_DIR
    ]
    if server.keeps_log:
        found.append({"name": "logs", "mountPath": LOG_DIR})
    for path in workload.secret_files:
        name = path.rpartition("/")[2]
        found.append({"name": "secrets", "mountPath": path, "subPath": name, "readOnly": True})
    return found


def _config_mount(workload: Workload) -> dict[str, Node]:
    """Mount the ConfigMap; the file alone, where other things are mounted beside it."""
    if not any(path.startswith(f"{CONFIG_DIR}/") for path in workload.model_dirs):
        return {"name": "config", "mountPath": CONFIG_DIR, "readOnly": True}
    name = workload.file_name
    path = f"{CONFIG_DIR}/{name}"
    return {"name": "config", "mountPath": path, "subPath": name, "readOnly": True}


def _cache(workload: Workload, server: Server) -> dict[str, Node]:
    """Return where a pod keeps its cache: in the instance's claim, or in one of its own."""
    if not server.spans():
        return {"persistentVolumeClaim": {"claimName": claim_name(workload, server)}}
    spec: dict[str, Node] = {
        "accessModes": Flow(items=("ReadWriteOnce",)),
        "resources": {"requests": {"storage": cache_size(workload)}},
    }
    return {"ephemeral": {"volumeClaimTemplate": {"spec": spec}}}


def _pod_volumes(workload: Workload, server: Server) -> list[Node]:
    size = f"{max(server.shm_bytes() // GIB, 1)}Gi"
    found: list[Node] = [
        {"name": "config", "configMap": {"name": workload.project}},
        {"name": "cache", **_cache(workload, server)},
        Note(
            comment="Processes of one server exchange data here; the default is 64 MB.",
            value={"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}},
        ),
        {"name": "tmp", "emptyDir": {}},
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
    ]
    if workload.model_dirs:
        models: dict[str, Node] = {"claimName": models_claim(workload), "readOnly": True}
        found.append({"name": "models", "persistentVolumeClaim": models})
    if server.keeps_log:
        found.append({"name": "logs", "emptyDir": {}})
    if workload.secret_files:
        secret: dict[str, Node] = {"secretName": secret_name(workload), "defaultMode": 0o440}
        found.append({"name": "secrets", "secret": secret})
    return found
