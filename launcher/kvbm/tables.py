"""Every table that KVBM reads, as data, with the keys of `launcher.kvbm.fields`."""

from __future__ import annotations

from launcher.kvbm.fields import (
    BACKEND_KEYS,
    CACHE_KEYS,
    CLIENT_KINDS,
    DISCOVERY_KINDS,
    DISK_KEYS,
    ETCD_KEYS,
    FILESYSTEM_KEYS,
    G1_TO_G2_KEYS,
    G2_TO_G3_KEYS,
    LFU_KEYS,
    NIXL_CLIENT_KEYS,
    NIXL_KEYS,
    ONBOARD_KEYS,
    P2P_KEYS,
    RAYON_KEYS,
    SIZE_KEYS,
    STORE_KEYS,
    TOKIO_KEYS,
)
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.reader import Key

# The tables that hold one of several things, told apart by their key `type`.
UNIONS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("nova", "discovery"): DISCOVERY_KINDS,
    ("object", "client"): CLIENT_KINDS,
}


@record
class Table:
    """One table of the configuration. `kind` is the `type` for which a union's keys hold."""

    path: tuple[str, ...]
    title: str
    doc: str
    keys: tuple[Key, ...]
    kind: str = ""

    def header(self) -> str:
        """Return the table's name as docs write it: nested, for a union's member too."""
        return ".".join((*self.path, self.kind) if self.kind else self.path)


TABLES = (
    Table(
        path=("tokio",),
        title="Tokio runtime",
        doc="Async runtime of the transport and of background tasks.",
        keys=TOKIO_KEYS,
    ),
    Table(
        path=("rayon",),
        title="Rayon thread pool",
        doc="CPU-bound parallel work.",
        keys=RAYON_KEYS,
    ),
    Table(
        path=("nova", "backend"),
        title="Nova transport",
        doc="Where the RPC transport listens.",
        keys=BACKEND_KEYS,
    ),
    Table(
        path=("nova", "discovery"),
        title="Discovery through etcd",
        doc="How the nodes of a cluster find each other; one of etcd, p2p, filesystem, or none.",
        keys=ETCD_KEYS,
        kind="etcd",
    ),
    Table(
        path=("nova", "discovery"),
        title="Discovery between peers",
        doc="Discovery without a server.",
        keys=P2P_KEYS,
        kind="p2p",
    ),
    Table(
        path=("nova", "discovery"),
        title="Discovery through a shared path",
        doc="Discovery by files that all nodes see.",
        keys=FILESYSTEM_KEYS,
        kind="filesystem",
    ),
    Table(
        path=("cache",),
        title="Cache",
        doc="What holds for all tiers.",
        keys=CACHE_KEYS,
    ),
    Table(
        path=("cache", "host"),
        title="Host cache (G2)",
        doc="Host memory for blocks that leave the GPU.",
        keys=SIZE_KEYS,
    ),
    Table(
        path=("cache", "disk"),
        title="Disk cache (G3)",
        doc="Local storage for blocks that leave host memory.",
        keys=DISK_KEYS,
    ),
    Table(
        path=("offload", "g1_to_g2"),
        title="Offload from GPU to host",
        doc="Which blocks move from G1 to G2.",
        keys=G1_TO_G2_KEYS,
    ),
    Table(
        path=("offload", "g1_to_g2", "presence_lfu"),
        title="Parameter of presence_lfu, GPU to host",
        doc="Used where the policies name presence_lfu.",
        keys=LFU_KEYS,
    ),
    Table(
        path=("offload", "g2_to_g3"),
        title="Offload from host to disk",
        doc="Which blocks move from G2 to G3.",
        keys=G2_TO_G3_KEYS,
    ),
    Table(
        path=("offload", "g2_to_g3", "presence_lfu"),
        title="Parameter of presence_lfu, host to disk",
        doc="Used where the policies name presence_lfu.",
        keys=LFU_KEYS,
    ),
    Table(
        path=("onboard",),
        title="Onboarding",
        doc="The way back to the GPU.",
        keys=ONBOARD_KEYS,
    ),
    Table(
        path=("object", "client"),
        title="Object store (G4), S3",
        doc="A store that several instances share.",
        keys=STORE_KEYS,
        kind="s3",
    ),
    Table(
        path=("object", "client"),
        title="Object store (G4), through NIXL",
        doc="The same store, reached through NIXL.",
        keys=NIXL_CLIENT_KEYS,
        kind="nixl",
    ),
    Table(
        path=("nixl",),
        title="NIXL backends",
        doc="How data is moved.",
        keys=NIXL_KEYS,
    ),
)


def table(path: tuple[str, ...], kind: str = "") -> Table:
    """Return the row of a table.

    Raises:
        KeyError: there is none.
    """
    for row in TABLES:
        if row.path == path and row.kind == kind:
            return row
    raise KeyError(path, kind)
