"""What a plan says of a server on several machines: which of them this is, and who says so."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.server.cluster_facts import Membership

CLUSTER_ORIGINS = ("nodes", "rank", "leader", "port", "link_port")


def render_cluster(part: Membership) -> str:
    """Render it for a person: `rank 1 of 2 (LWS_WORKER_INDEX), leader ...`."""
    origins = dict(part.origins)

    def shown(text: str, key: str) -> str:
        return f"{text} ({origins[key]})" if origins.get(key) else text

    whole = shown(str(part.nodes), "nodes")
    return ", ".join(
        (
            f"{shown(f'rank {part.rank}', 'rank')} of {whole}",
            shown(f"leader {part.leader}", "leader"),
            shown(f"port {part.port}", "port"),
            shown(f"link port {part.link_port}", "link_port"),
            part.engine,
        )
    )


def describe_cluster(part: Membership) -> dict[str, object]:
    """Return it for JSON."""
    return {
        "engine": part.engine,
        "nodes": part.nodes,
        "rank": part.rank,
        "leader": part.leader,
        "port": part.port,
        "link_port": part.link_port,
    }
