"""Every key that KVBM reads, as data; `launcher.kvbm.tables` says in which table each stands.

From these rows come reading, the sample files, the tables in docs/kvbm.md, and the checks that
they agree. The `doc` of a key is the manual's row for it.
"""

from __future__ import annotations

from launcher.config.reader import Key, boolean
from launcher.kvbm.checks import (
    backends,
    gigabytes,
    ip_address,
    optional,
    text,
    texts,
    unsigned,
    word,
    words,
)
from launcher.kvbm.model import (
    DEFAULT_BUCKET,
    DEFAULT_MIN_LFU_COUNT,
    DEFAULT_REGION,
    ONBOARD_MODES,
    PARALLELISM,
    POLICIES,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DISCOVERY_KINDS = ("etcd", "p2p", "filesystem")
CLIENT_KINDS = ("s3", "nixl")
POLICY_DOCS: Mapping[str, str] = {
    "pass_all": "No filtering: every block passes.",
    "presence": "Skip blocks that the destination tier holds already.",
    "presence_lfu": "As presence, and the block has been used often enough.",
}
WORDS_EXPECTED = ", ".join(POLICIES)

TOKIO_KEYS = (
    Key(
        name="worker_threads",
        check=optional(unsigned(64, least=1)),
        expected="integer, 1 to the number of CPUs",
        default=1,
        doc="Number of async worker threads. JSON's null means one per CPU.",
    ),
    Key(
        name="max_blocking_threads",
        check=optional(unsigned(64, least=1)),
        expected="integer of at least 1",
        default_words="512",
        doc="Largest size of the pool for blocking work.",
    ),
)
RAYON_KEYS = (
    Key(
        name="num_threads",
        check=optional(unsigned(64, least=1)),
        expected="integer of at least 1",
        default_words="number of CPUs",
        doc="Number of threads for CPU-bound work (tensor operations, compression).",
    ),
)
BACKEND_KEYS = (
    Key(
        name="tcp_port",
        check=unsigned(16),
        expected="integer, 0 to 65535",
        default=0,
        doc="TCP port; 0 lets the system choose.",
    ),
    Key(
        name="tcp_addr",
        check=optional(ip_address),
        expected="IP address",
        default_words="not set",
        doc="Address to bind; 0.0.0.0 where neither this nor `tcp_interface` is set. Not together "
        "with `tcp_interface`.",
    ),
    Key(
        name="tcp_interface",
        check=optional(text),
        expected="string",
        default_words="not set",
        doc="Network interface whose first address is bound. Not together with `tcp_addr`.",
    ),
)
CLUSTER_KEY = Key(
    name="cluster_id",
    check=text,
    expected="string",
    default_words="required",
    doc="Name that the peers of one cluster share.",
)
ETCD_KEYS = (
    CLUSTER_KEY,
    Key(
        name="endpoints",
        check=texts,
        expected="list of strings",
        default=("http://localhost:2379",),
        doc="URLs of the etcd servers.",
    ),
    Key(
        name="ttl_secs",
        check=unsigned(64, least=10, most=600),
        expected="integer, 10 to 600",
        default=60,
        doc="Seconds until a peer that stopped renewing its lease is forgotten.",
    ),
    Key(
        name="operation_timeout_secs",
        check=unsigned(64),
        expected="integer of at least 0",
        default=30,
        doc="Seconds that one etcd operation may take.",
    ),
    Key(
        name="max_retries",
        check=unsigned(32, least=0, most=10),
        expected="integer, 0 to 10",
        default=3,
        doc="How often a failed etcd operation is tried again.",
    ),
)
P2P_KEYS = (
    CLUSTER_KEY,
    Key(
        name="bootstrap_peers",
        check=texts,
        expected="list of strings",
        default=(),
        doc="Peers to ask first, as host:port.",
    ),
    Key(
        name="listen_port",
        check=unsigned(16),
        expected="integer, 0 to 65535",
        default=0,
        doc="Port for discovery traffic; 0 lets the system choose.",
    ),
    Key(
        name="replication_factor",
        check=unsigned(64),
        expected="integer of at least 0",
        default=3,
        doc="On how many peers a record is kept.",
    ),
    Key(
        name="enable_mdns",
        check=boolean,
        expected="boolean",
        default=False,
        doc="Find peers of the local network by multicast DNS.",
    ),
    Key(
        name="record_ttl_secs",
        check=unsigned(64),
        expected="integer of at least 0",
        default=600,
        doc="Seconds until a record expires.",
    ),
)
FILESYSTEM_KEYS = (
    Key(
        name="path",
        check=text,
        expected="path",
        default_words="required",
        doc="Shared path that all peers see. It is passed on as written.",
    ),
)
CACHE_KEYS = (
    Key(
        name="parallelism",
        check=word(*PARALLELISM),
        expected=", ".join(PARALLELISM),
        default="tensor_parallel",
        doc="Whether each worker holds its own part of a block or all hold the same.",
    ),
)
SIZE_KEYS = (
    Key(
        name="cache_size_gb",
        check=optional(gigabytes),
        expected="number of 10^9 bytes",
        default_words="not set",
        doc="Size of the tier. Any value, even 0, turns the tier on.",
    ),
    Key(
        name="num_blocks",
        check=optional(unsigned(64)),
        expected="integer of at least 0",
        default_words="not set",
        doc="Size of the tier in blocks. Takes priority over `cache_size_gb`.",
    ),
)
DISK_KEYS = (
    *SIZE_KEYS,
    Key(
        name="use_gds",
        check=boolean,
        expected="boolean",
        default=False,
        doc="Use GPUDirect Storage.",
    ),
    Key(
        name="storage_path",
        check=optional(text),
        expected="path",
        default_words="not set",
        doc="Directory for the cache files.",
    ),
)


def _policies(default: str) -> tuple[Key, ...]:
    return (
        Key(
            name="policies",
            check=words(*POLICIES),
            expected=f"list of {WORDS_EXPECTED}",
            default=(default,),
            doc="Policies in the order in which they are asked; a block moves when all agree. An "
            "empty list means the default.",
        ),
    )


G1_TO_G2_KEYS = _policies("presence")
G2_TO_G3_KEYS = _policies("presence_lfu")
LFU_KEYS = (
    Key(
        name="min_lfu_count",
        check=unsigned(32, least=1),
        expected="integer of at least 1",
        default=DEFAULT_MIN_LFU_COUNT,
        doc="How often a block has to have been used before `presence_lfu` lets it move.",
    ),
)
ONBOARD_KEYS = (
    Key(
        name="mode",
        check=word(*ONBOARD_MODES),
        expected=", ".join(ONBOARD_MODES),
        default="inter",
        doc="How blocks are brought back to the GPU: between passes or inside one.",
    ),
)
STORE_KEYS = (
    Key(
        name="endpoint_url",
        check=optional(text),
        expected="URL",
        default_words="AWS S3",
        doc="Address of the store. Credentials come from the AWS variables and files, not from "
        "here.",
    ),
    Key(
        name="bucket",
        check=text,
        expected="string",
        default=DEFAULT_BUCKET,
        doc="Name of the bucket.",
    ),
    Key(
        name="region",
        check=text,
        expected="string",
        default=DEFAULT_REGION,
        doc="AWS region.",
    ),
    Key(
        name="force_path_style",
        check=boolean,
        expected="boolean",
        default=False,
        doc="Put the bucket into the path instead of the host name, as MinIO needs.",
    ),
    Key(
        name="max_concurrent_requests",
        check=unsigned(64),
        expected="integer of at least 0",
        default=16,
        doc="How many requests may be under way at a time.",
    ),
)
NIXL_CLIENT_KEYS = (
    Key(
        name="backend",
        check=word("s3"),
        expected="s3",
        default_words="required",
        doc="Which store NIXL talks to.",
    ),
    *STORE_KEYS,
)
NIXL_KEYS = (
    Key(
        name="backends",
        check=backends,
        expected="table of tables of strings",
        default_words="UCX and POSIX, without parameters",
        doc="Transfer backends by name, each with its parameters. Naming one replaces the default.",
    ),
)
