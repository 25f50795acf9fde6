"""Kubernetes manifests: for each instance a Deployment, a Service and a claim for its cache.

One instance a pod, so that each is scheduled, scaled and rolled by itself; the launcher in it is
PID 1, restarts its server, and is what the probes ask. An instance that spans nodes becomes a
LeaderWorkerSet (`leaderworkerset`). Source of the fields: the Kubernetes API reference.
"""

from __future__ import annotations

from launcher.render.leaderworkerset import LEADER, render_set
from launcher.render.model import OutputFile
from launcher.render.pod import (
    cache_size,
    claim_name,
    full_name,
    labels,
    models_claim,
    pod_template,
    secret_name,
    selector,
    service_name,
)
from launcher.render.yaml_text import Flow, Note, render_yaml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.render.model import Options, Server, Workload
    from launcher.render.yaml_text import Node

FILE = "kubernetes.yaml"
SPARE_S = 120  # for pulling the image, beyond the start of the server


def render_kubernetes(workload: Workload, options: Options) -> tuple[OutputFile, ...]:
    """Return one file with all objects, in the order in which they should be applied."""
    documents = [_config_map(workload)]
    for server in workload.servers:
        if server.spans():
            documents.append(render_set(workload, server))
        else:
            documents += [_cache(workload, server), _deployment(workload, server)]
        if not server.socket_path:
            documents.append(_service(workload, server))
            if options.service_monitor:
                documents.append(_service_monitor(workload, server))
    if options.namespace:
        documents = [_in_namespace(each, options.namespace) for each in documents]
    return (OutputFile(name=FILE, text=render_yaml(documents, _heading(workload, options))),)


def _heading(workload: Workload, options: Options) -> str:
    lines = [
        f"{workload.project}: rendered by 'vllmd render kubernetes' from {workload.file_name}.",
        "The servers are described there, and only there: it is the ConfigMap below.",
    ]
    if workload.secret_variables or workload.secret_files:
        lines += [
            "",
            "Secrets are not in here. Before 'kubectl apply':",
            *_secret_lines(workload, options),
        ]
    if workload.model_dirs:
        one = len(workload.model_dirs) == 1
        what = "its root" if one else "its folders of the same names"
        lines += [
            "",
            f"Models are read from the claim '{models_claim(workload)}', which must be there",
        ]
        lines += [
            f"(ReadOnlyMany, where pods are on several nodes): {what} become{'s' if one else ''}"
        ]
        lines += [f"  {path}" for path in workload.model_dirs]
    return "\n".join(lines)


def _secret_lines(workload: Workload, options: Options) -> list[str]:
    place = f" --namespace {options.namespace}" if options.namespace else ""
    lines = [f"  kubectl create secret generic{place} {secret_name(workload)} \\"]
    words = [f'--from-literal={name}="${name}"' for name in workload.secret_variables]
    words += [f"--from-file={path.rpartition('/')[2]}" for path in workload.secret_files]
    return [*lines, "    " + " \\\n    ".join(words)]


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
        "metadata": {"name": claim_name(workload, server), "labels": labels(workload, server)},
        "spec": {
            "accessModes": Note(
                comment="More replicas, on several nodes, need ReadWriteMany.",
                value=Flow(items=("ReadWriteOnce",)),
            ),
            "resources": {"requests": {"storage": cache_size(workload)}},
        },
    }


def _deployment(workload: Workload, server: Server) -> dict[str, Node]:
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
            "selector": {"matchLabels": selector(workload, server)},
            "template": pod_template(workload, server),
        },
    }


def _service(workload: Workload, server: Server) -> dict[str, Node]:
    port: dict[str, Node] = {"name": "http", "port": server.port, "targetPort": "http"}
    launcher: dict[str, Node] = {
        "name": "launcher",
        "port": workload.listen_port,
        "targetPort": "launcher",
    }
    chosen = selector(workload, server)
    if server.spans():
        chosen = {**chosen, **LEADER}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service_name(workload, server), "labels": labels(workload, server)},
        "spec": {"selector": chosen, "ports": [port, launcher]},
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
            "selector": {"matchLabels": selector(workload, server)},
            "endpoints": [
                endpoint,
                {"port": "launcher", "path": "/metrics", "interval": "15s"},
            ],
        },
    }
