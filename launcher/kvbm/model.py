"""What KVBM is told: the typed configuration of one role.

Each field's meaning, default and constraint is its row in `launcher.kvbm.fields`; the defaults
here and there are the same values (a test holds them together). None means "not set": what KVBM
then does is said by the `effective_` functions.
"""

from __future__ import annotations

from launcher.record import record, replace

BYTES_PER_GB = 1_000_000_000  # KVBM counts decimal gigabytes
DEFAULT_BLOCKING_THREADS = 512
DEFAULT_BUCKET = "kvbm-blocks"
DEFAULT_REGION = "us-east-1"
DEFAULT_MIN_LFU_COUNT = 8
ANY_ADDRESS = "0.0.0.0"  # noqa: S104  (the manual's default)

POLICIES = ("pass_all", "presence", "presence_lfu")
PARALLELISM = ("tensor_parallel", "replicated_data")
ONBOARD_MODES = ("inter", "intra")


@record
class TokioConfig:
    """`[tokio]`: the async runtime of the transport and of background tasks."""

    worker_threads: int | None = 1
    max_blocking_threads: int | None = None


@record
class RayonConfig:
    """`[rayon]`: the thread pool for CPU-bound work."""

    num_threads: int | None = None


@record
class NovaBackend:
    """`[nova.backend]`: where the transport listens."""

    tcp_port: int = 0
    tcp_addr: str | None = None
    tcp_interface: str | None = None

    def bind_address(self) -> tuple[str, int] | None:
        """Return address and port to bind; None where the interface decides."""
        if self.tcp_interface is not None:
            return None
        return self.tcp_addr or ANY_ADDRESS, self.tcp_port


@record
class EtcdDiscovery:
    """`[nova.discovery.etcd]`: peers find each other through etcd."""

    cluster_id: str
    endpoints: tuple[str, ...] = ("http://localhost:2379",)
    ttl_secs: int = 60
    operation_timeout_secs: int = 30
    max_retries: int = 3


@record
class P2pDiscovery:
    """`[nova.discovery.p2p]`: peers find each other without a server."""

    cluster_id: str
    bootstrap_peers: tuple[str, ...] = ()
    listen_port: int = 0
    replication_factor: int = 3
    enable_mdns: bool = False
    record_ttl_secs: int = 600


@record
class FilesystemDiscovery:
    """`[nova.discovery.filesystem]`: peers find each other through a shared path."""

    path: str


Discovery = EtcdDiscovery | P2pDiscovery | FilesystemDiscovery


@record
class NovaConfig:
    """`[nova]`: the transport."""

    backend: NovaBackend = NovaBackend()
    discovery: Discovery | None = None


@record
class HostCache:
    """`[cache.host]`: the G2 tier, host memory."""

    cache_size_gb: float | None = None
    num_blocks: int | None = None


@record
class DiskCache:
    """`[cache.disk]`: the G3 tier, local storage."""

    cache_size_gb: float | None = None
    num_blocks: int | None = None
    use_gds: bool = False
    storage_path: str | None = None


@record
class CacheConfig:
    """`[cache]`: the tiers. `disk` is None where no layer mentions it."""

    host: HostCache = HostCache()
    disk: DiskCache | None = None
    parallelism: str = "tensor_parallel"


@record
class PresenceLfu:
    """`[offload.*.presence_lfu]`: the parameter of the policy of that name."""

    min_lfu_count: int = DEFAULT_MIN_LFU_COUNT


@record
class OffloadTier:
    """`[offload.g1_to_g2]` or `[offload.g2_to_g3]`: which blocks move; all policies must pass."""

    policies: tuple[str, ...]
    presence_lfu: PresenceLfu = PresenceLfu()


@record
class OffloadConfig:
    """`[offload]`: G1 is the GPU, G2 the host, G3 the disk."""

    g1_to_g2: OffloadTier = OffloadTier(policies=("presence",))
    g2_to_g3: OffloadTier = OffloadTier(policies=("presence_lfu",))


@record
class OnboardConfig:
    """`[onboard]`: how blocks come back to the GPU."""

    mode: str = "inter"


@record
class S3Client:
    """`[object.client]` of type "s3"."""

    endpoint_url: str | None = None
    bucket: str = DEFAULT_BUCKET
    region: str = DEFAULT_REGION
    force_path_style: bool = False
    max_concurrent_requests: int = 16


@record
class NixlClient:
    """`[object.client]` of type "nixl": the same store, reached through NIXL."""

    backend: str
    endpoint_url: str | None = None
    bucket: str = DEFAULT_BUCKET
    region: str = DEFAULT_REGION
    force_path_style: bool = False
    max_concurrent_requests: int = 16


ObjectClient = S3Client | NixlClient


@record
class ObjectConfig:
    """`[object]`: the G4 tier, an object store."""

    client: ObjectClient


@record
class NixlBackend:
    """One backend of NIXL with its parameters, sorted by name."""

    name: str
    parameters: tuple[tuple[str, str], ...] = ()


@record
class NixlConfig:
    """`[nixl]`: the transfer backends, sorted by name; names are upper case."""

    backends: tuple[NixlBackend, ...] = (NixlBackend(name="POSIX"), NixlBackend(name="UCX"))

    def find_backend(self, name: str) -> NixlBackend | None:
        """Return a backend by its name in any case."""
        wanted = name.upper()
        return next((backend for backend in self.backends if backend.name == wanted), None)

    def with_backend(self, name: str, **parameters: str) -> NixlConfig:
        """Return a copy that has the backend, with these parameters."""
        wanted = name.upper()
        others = (backend for backend in self.backends if backend.name != wanted)
        added = NixlBackend(name=wanted, parameters=tuple(sorted(parameters.items())))
        backends = sorted((*others, added), key=lambda backend: backend.name)
        return replace(self, backends=tuple(backends))


@record
class KvbmConfig:
    """All of it, for one role. `nixl` and `object` are None where they are off."""

    tokio: TokioConfig = TokioConfig()
    rayon: RayonConfig = RayonConfig()
    nova: NovaConfig = NovaConfig()
    cache: CacheConfig = CacheConfig()
    offload: OffloadConfig = OffloadConfig()
    onboard: OnboardConfig = OnboardConfig()
    object: ObjectConfig | None = None
    nixl: NixlConfig | None = NixlConfig()


def minio_client(endpoint_url: str, bucket: str = DEFAULT_BUCKET) -> S3Client:
    """Return the client for a MinIO server, which needs path-style addresses."""
    return S3Client(endpoint_url=endpoint_url, bucket=bucket, force_path_style=True)


def effective_worker_threads(config: KvbmConfig, cpu_count: int) -> int:
    """Return the number of async worker threads: one per CPU where set to null."""
    threads = config.tokio.worker_threads
    return cpu_count if threads is None else threads


def effective_blocking_threads(config: KvbmConfig) -> int:
    """Return the size of the blocking pool: tokio's own default where it is not set."""
    threads = config.tokio.max_blocking_threads
    return DEFAULT_BLOCKING_THREADS if threads is None else threads


def effective_rayon_threads(config: KvbmConfig, cpu_count: int) -> int:
    """Return the number of Rayon threads: one per CPU where it is not set."""
    threads = config.rayon.num_threads
    return cpu_count if threads is None else threads


def is_enabled(tier: HostCache | DiskCache | None) -> bool:
    """Tell whether a tier is on: any size given, even 0, turns it on."""
    return tier is not None and (tier.num_blocks is not None or tier.cache_size_gb is not None)


def count_blocks(tier: HostCache | DiskCache | None, bytes_per_block: int) -> int | None:
    """Return how many blocks a tier holds, None where it has no size. `num_blocks` wins."""
    if tier is None:
        return None
    if tier.num_blocks is not None:
        return tier.num_blocks
    if tier.cache_size_gb is None:
        return None
    return int(tier.cache_size_gb * BYTES_PER_GB / bytes_per_block)
