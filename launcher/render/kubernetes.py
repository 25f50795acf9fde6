"""Kubernetes manifests: for each instance a Deployment, a Service and a claim for its cache.

One instance a pod, so that each is scheduled, scaled and rolled by itself; the launcher in it is
PID 1, restarts its server, and is what the probes ask. An instance that spans nodes becomes a
LeaderWorkerSet (`leaderworkerset`). Source of the fields: the Kubernetes API reference.
"""

from __future__ import annotations

import hashlib

from launcher.render.model import CACHE_DIR, CONFIG_DIR, GIB, IMAGE_USER, LOG_DIR, OutputFile
from launcher.render.overrides import for_pod, render_overrides
from launcher.render.yaml_text import Flow, Note, render_yaml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import TomlValue
    from launcher.render.model import Options, Server, Workload
    from launcher.render.yaml_text import Node

FILE = "kubernetes.yaml"
PROBE_PERIOD_S = 10
SPARE_S = 120  # for pulling the image, beyond the start of the server


def render_kubernetes(workload: Workload, options: Options) -> tuple[OutputFile, ...]:
    """Return one file with all objects, in the order in which they should be applied."""
    documents = [_config_map(workload)]
    for server in workload.servers:
        documents += [_cache(workload, server), _workload(workload, server)]
        if not server.socket_path:
            documents.append(_service(workload, server))
            if options.service_monitor:
                documents.append(_service_monitor(workload, server))
    if options.namespace:
        documents = [_in_namespace(each, options.namespace) for each in documents]
    return (OutputFile(name=FILE, text=render_yaml(documents, _heading(workload))),)


def _heading(workload: Workload) -> str:
    lines = [
        f"{workload.project}: rendered by 'vllmd render kubernetes' from {workload.file_name}.",
        "The servers are described there, and only there: it is the ConfigMap below.",
    ]
    if workload.secret_variables or workload.secret_files:
        lines += ["", "Secrets are not in here. Before 'kubectl apply':", *_secret_lines(workload)]
    if workload.model_dirs:
        lines += ["", f"Models are read from the claim '{models_claim(workload)}', which must be"]
        lines += ["there and hold them under the paths that the configuration names:"]
        lines += [f"  {path}" for path in workload.model_dirs]
    return "\n".join(lines)


def _secret_lines(workload: Workload) -> list[str]:
    lines = [f"  kubectl create secret generic {secret_name(workload)} \\"]
    words = [f'--from-literal={name}="${name}"' for name in workload.secret_variables]
    words += [f"--from-file={path.rpartition('/')[2]}" for path in workload.secret_files]
    return [*lines, "    " + " \\\n    ".join(words)]


def secret_name(workload: Workload) -> str:
    """Return the name of the Secret that holds what the configuration only refers to."""
    return f"{workload.project}-secrets"


def models_claim(workload: Workload) -> str:
    """Return the name of the claim that holds the models."""
    return f"{workload.project}-models"


def full_name(workload: Workload, server: Server) -> str:
    """Return the name of an instance's objects."""
    return f"{workload.project}-{server.label}"[:63].rstrip("-")


def labels(workload: Workload, server: Server) -> dict[str, Node]:
    """Return the labels by which a pod is found."""
    return {
        "app.kubernetes.io/name": "vllmd",
        "app.kubernetes.io/instance": full_name(workload, server),
        "app.kubernetes.io/part-of": workload.project,
    }


def _in_namespace(document: dict[str, Node], namespace: str) -> dict[str, Node]:
    metadata = document["metadata"]
    if not isinstance(metadata, dict):
        raise TypeError("an object without metadata")
    first = {"name": metadata["name"], "namespace": namespace}
    return {**document, "metadata": {**first, **metadata}}


def _config_map(workload: Workload) -> dict[str, Node]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": workload.project,
            "labels": {
                "app.kubernetes.io/name": "vllmd",
                "app.kubernetes.io/part-of": workload.project,
            },
        },
        "data": {workload.file_name: workload.text},
    }


def _cache(workload: Workload, server: Server) -> dict[str, Node]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": f"{full_name(workload, server)}-cache",
            "labels": labels(workload, server),
        },
        "spec": {
            "accessModes": Flow(items=("ReadWriteOnce",)),
            "resources": {
                "requests": {
                    "storage": Note(
                        comment="Compiled graphs, and the model where it is downloaded.",
                        value="20Gi" if workload.model_dirs else "200Gi",
                    )
                }
            },
        },
    }


def _workload(workload: Workload, server: Server) -> dict[str, Node]:
    name = full_name(workload, server)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels(workload, server)},
        "spec": {
            "replicas": 1,
            "strategy": Note(
                comment="The old pod has to let go of its GPUs before the new one gets them.",
                value={"type": "Recreate"},
            ),
            "progressDeadlineSeconds": int(server.startup_s) + SPARE_S,
            "selector": {"matchLabels": _selector(workload, server)},
            "template": pod_template(workload, server),
        },
    }


def _selector(workload: Workload, server: Server) -> dict[str, Node]:
    found = labels(workload, server)
    return {key: found[key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/instance")}


def pod_template(workload: Workload, server: Server) -> dict[str, Node]:
    """Return the pod that runs one instance."""
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
            "terminationGracePeriodSeconds": int(server.stop_s) + 15,
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
            },
            "containers": [_container(workload, server)],
            "volumes": _pod_volumes(workload, server),
        },
    }


def _container(workload: Workload, server: Server) -> dict[str, Node]:
    return {
        "name": "server",
        "image": Note(comment="Its ENTRYPOINT is the launcher.", value=workload.image),
        "env": _env(workload, for_pod(workload, server)),
        "ports": _ports(workload, server),
        "resources": _resources(workload, server),
        **_probes(server),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": Flow(items=("ALL",))},
        },
        "volumeMounts": _mounts(workload, server),
    }


def _env(workload: Workload, overrides: Mapping[str, TomlValue]) -> list[Node]:
    found: list[Node] = [
        {"name": "AUTO_INFER_VLLM_CONFIG", "value": f"{CONFIG_DIR}/{workload.file_name}"},
        Note(
            comment="Merged over the file: this pod runs one instance of it.",
            value={"name": "AUTO_INFER_VLLM_OVERRIDES", "value": render_overrides(overrides)},
        ),
    ]
    for name in workload.secret_variables:
        reference: dict[str, Node] = {"name": secret_name(workload), "key": name}
        found.append({"name": name, "valueFrom": {"secretKeyRef": reference}})
    return found


def _ports(workload: Workload, server: Server) -> list[Node]:
    found: list[Node] = []
    if not server.socket_path:
        found.append({"name": "http", "containerPort": server.port})
    found.append({"name": "launcher", "containerPort": workload.listen_port})
    return found


def _resources(workload: Workload, server: Server) -> Node:
    comment = "Add cpu and memory by what you see: 'kubectl top pod' after some load."
    if not server.needs_gpu():
        return Note(comment=comment, value={})
    others = workload.sharing(server)
    if others:
        names = ", ".join(f"'{name}'" for name in others)
        comment += (
            f"\nThe file puts it on one GPU with {names}; a pod gets GPUs of its own. To share,"
            "\nset up time-slicing or MPS in the device plugin."
        )
    return Note(comment=comment, value={"limits": {"nvidia.com/gpu": server.gpu_count()}})


def _probes(server: Server) -> dict[str, Node]:
    health = _http("/health", "http", tls=server.tls)
    ready = _http("/readyz", "launcher") if server.socket_path else health
    failures = -(-int(server.startup_s) // PROBE_PERIOD_S)
    return {
        "startupProbe": Note(
            comment=f"Up to {int(server.startup_s)} s to load, as startup_timeout_s says.",
            value={
                "httpGet": ready,
                "periodSeconds": PROBE_PERIOD_S,
                "failureThreshold": max(failures, 1),
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
        {"name": "config", "mountPath": CONFIG_DIR, "readOnly": True},
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
    if server.keeps_log:
        found.append({"name": "logs", "mountPath": LOG_DIR})
    for path in workload.secret_files:
        name = path.rpartition("/")[2]
        found.append({"name": "secrets", "mountPath": path, "subPath": name, "readOnly": True})
    return found


def _pod_volumes(workload: Workload, server: Server) -> list[Node]:
    claim = f"{full_name(workload, server)}-cache"
    size = f"{max(server.shm_bytes() // GIB, 1)}Gi"
    found: list[Node] = [
        {"name": "config", "configMap": {"name": workload.project}},
        {"name": "cache", "persistentVolumeClaim": {"claimName": claim}},
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


def _service(workload: Workload, server: Server) -> dict[str, Node]:
    port: dict[str, Node] = {"name": "http", "port": server.port, "targetPort": "http"}
    launcher: dict[str, Node] = {
        "name": "launcher",
        "port": workload.listen_port,
        "targetPort": "launcher",
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": full_name(workload, server), "labels": labels(workload, server)},
        "spec": {"selector": _selector(workload, server), "ports": [port, launcher]},
    }


def _service_monitor(workload: Workload, server: Server) -> dict[str, Node]:
    endpoint: dict[str, Node] = {"port": "http", "path": "/metrics", "interval": "15s"}
    if server.tls:
        endpoint["scheme"] = "https"
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": full_name(workload, server), "labels": labels(workload, server)},
        "spec": {
            "selector": {"matchLabels": _selector(workload, server)},
            "endpoints": [
                endpoint,
                {"port": "launcher", "path": "/metrics", "interval": "15s"},
            ],
        },
    }
