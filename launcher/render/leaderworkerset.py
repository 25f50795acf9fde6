"""A LeaderWorkerSet: an instance that spans machines, as one group of pods that live together.

Its controller gives each pod LWS_LEADER_ADDRESS, LWS_GROUP_SIZE and LWS_WORKER_INDEX, which is
where the launcher finds what `[instance.<name>.cluster]` leaves open. Source of the fields: the
API reference of leaderworkerset.x-k8s.io/v1.
"""

from __future__ import annotations

from launcher.render.pod import full_name, labels, pod_template
from launcher.render.yaml_text import Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.render.model import Server, Workload
    from launcher.render.yaml_text import Node

# The label of a group's first pod.
LEADER: dict[str, Node] = {"leaderworkerset.sigs.k8s.io/worker-index": "0"}


def render_set(workload: Workload, server: Server) -> dict[str, Node]:
    """Return the set of one instance."""
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": full_name(workload, server), "labels": labels(workload, server)},
        "spec": {
            "replicas": Note(
                comment="Groups: each is a whole server. Pods of a group are in 'size'.", value=1
            ),
            "leaderWorkerTemplate": {
                "size": server.nodes,
                "restartPolicy": Note(
                    comment="A group is started again together: its members cannot rejoin.",
                    value="RecreateGroupOnPodRestart",
                ),
                "leaderTemplate": pod_template(workload, server),
                "workerTemplate": pod_template(workload, server, worker=True),
            },
        },
    }
