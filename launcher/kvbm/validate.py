"""What a configuration may not say although each of its values may.

The manual's rules, and the mistakes that would otherwise show late: as an idle cache or as a
failing transfer.
"""

from __future__ import annotations

from launcher.config.secrets import holds_secret
from launcher.kvbm.model import EtcdDiscovery, P2pDiscovery, is_enabled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.kvbm.findings import Findings
    from launcher.kvbm.model import KvbmConfig, NixlConfig

# Any of these moves blocks to files.
FILE_BACKENDS = ("POSIX", "GDS", "GDS_MT")


def validate_role(config: KvbmConfig, cpu_count: int, findings: Findings) -> None:
    """Check what one role is told."""
    threads = config.tokio.worker_threads
    if threads is not None and threads > cpu_count:
        message = f"expected an integer, 1 to {cpu_count}, got {threads}"
        cpus = "1 CPU" if cpu_count == 1 else f"{cpu_count} CPUs"
        findings.error(("tokio", "worker_threads"), message, f"this machine has {cpus}")
    backend = config.nova.backend
    if backend.tcp_addr is not None and backend.tcp_interface is not None:
        message = "'tcp_addr' and 'tcp_interface' are mutually exclusive"
        path = ("nova", "backend", "tcp_interface")
        findings.error(path, message, "remove one of the two", at_key=True)
    _warn_of_secrets(config, findings)


def validate_leader(config: KvbmConfig, findings: Findings) -> None:
    """Warn of tiers that do nothing. The leader's sizes are the ones that count."""
    host, disk = config.cache.host, config.cache.disk
    if not is_enabled(host) and not is_enabled(disk) and config.object is None:
        message = "no cache tier has a size, so KVBM keeps nothing"
        findings.warning(("cache", "host"), message, "set cache.host.cache_size_gb")
    if disk is None or not is_enabled(disk) or not is_enabled(host):
        return
    if disk.num_blocks is not None and host.num_blocks is not None:
        name, small = "num_blocks", disk.num_blocks < host.num_blocks
    elif disk.num_blocks is None and host.num_blocks is None:
        name, small = "cache_size_gb", (disk.cache_size_gb or 0) < (host.cache_size_gb or 0)
    else:
        return
    if small:
        message = "the disk cache is smaller than the host cache, so it only churns"
        findings.warning(("cache", "disk", name), message, f"make cache.disk.{name} the larger one")


def validate_pair(
    leader: KvbmConfig, worker: KvbmConfig, leader_findings: Findings, worker_findings: Findings
) -> None:
    """Warn of what leader and worker get wrong together."""
    if is_enabled(leader.cache.disk) and not _moves_files(worker.nixl):
        message = "the disk cache needs a backend that moves files, and the workers have none"
        hint = "add POSIX = {} (or GDS, GDS_MT) to nixl.backends of the workers"
        worker_findings.warning(("nixl", "backends"), message, hint)
    port = leader.nova.backend.tcp_port
    if port and port == worker.nova.backend.tcp_port:
        message = f"leader and workers would all listen on port {port}"
        hint = "leave tcp_port at 0, or set it for one role only"
        leader_findings.warning(("nova", "backend", "tcp_port"), message, hint)


def _moves_files(nixl: NixlConfig | None) -> bool:
    return nixl is not None and any(nixl.find_backend(name) for name in FILE_BACKENDS)


def _warn_of_secrets(config: KvbmConfig, findings: Findings) -> None:
    urls: list[tuple[tuple[str | int, ...], str]] = []
    if config.object is not None and config.object.client.endpoint_url:
        urls.append((("object", "client", "endpoint_url"), config.object.client.endpoint_url))
    discovery = config.nova.discovery
    place = ("nova", "discovery")
    if isinstance(discovery, EtcdDiscovery):
        urls += [((*place, "endpoints", n), url) for n, url in enumerate(discovery.endpoints)]
    if isinstance(discovery, P2pDiscovery):
        peers = enumerate(discovery.bootstrap_peers)
        urls += [((*place, "bootstrap_peers", n), url) for n, url in peers]
    for path, url in urls:
        if holds_secret(url):
            message = "this URL holds a secret, which vLLM's command line would show to everybody"
            findings.warning(path, message, "leave it out; S3 reads the AWS variables")
