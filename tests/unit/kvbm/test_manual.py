"""The manual of KVBM's configuration: each table row and each sentence of it, by its name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from launcher.kvbm.loading import SYSTEM_CONFIG, gather_facts, load
from launcher.kvbm.model import (
    DiskCache,
    EtcdDiscovery,
    FilesystemDiscovery,
    HostCache,
    KvbmConfig,
    NixlConfig,
    P2pDiscovery,
    S3Client,
    count_blocks,
)
from tests.support.kvbm import CPUS, ETCD, at, error, nested, told

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.config.problems import TomlValue

STORE_ROWS: list[tuple[str, TomlValue, TomlValue]] = [
    ("endpoint_url", "http://minio:9000", None),
    ("bucket", "mine", "kvbm-blocks"),
    ("region", "eu-west-1", "us-east-1"),
    ("force_path_style", True, False),
    ("max_concurrent_requests", 4, 16),
]


# Quick start.


def test_quick_start_with_environment_variables() -> None:
    config = told(env={"KVBM_CACHE_HOST_SIZE_GB": "4.0", "KVBM_TOKIO_WORKER_THREADS": "4"})
    assert config.cache.host.cache_size_gb == 4.0
    assert config.tokio.worker_threads == 4


def test_quick_start_loads_from_a_custom_config_file(tmp_path: Path) -> None:
    file = tmp_path / "my-kvbm.toml"
    file.write_text("[tokio]\nworker_threads = 4\n")
    config = load(environ={"KVBM_CONFIG_PATH": str(file)}, cpu_count=CPUS)
    assert config.tokio.worker_threads == 4


def test_quick_start_with_a_toml_file() -> None:
    file = """
        [tokio]
        worker_threads = 4
        [cache.host]
        cache_size_gb = 4.0
        [offload.g2_to_g3.presence_lfu]
        min_lfu_count = 16
    """
    config = told(None, file)
    assert config.tokio.worker_threads == 4
    assert config.cache.host.cache_size_gb == 4.0
    assert config.offload.g2_to_g3.presence_lfu.min_lfu_count == 16


def test_quick_start_with_json_for_vllm() -> None:
    shared = "/tmp/nova-discovery/cluster.json"  # noqa: S108  (the manual's path)
    store = {"type": "s3", "endpoint_url": "http://minio:9000", "force_path_style": True}
    data = {
        "leader": {
            "cache": {"host": {"cache_size_gb": 2.0}},
            "tokio": {"worker_threads": 2},
            "nova": {"discovery": {"type": "filesystem", "path": shared}},
            "object": {"client": store},
        },
        "worker": {
            "nixl": {"backends": {"UCX": {}, "POSIX": {}}},
            "tokio": {"worker_threads": 1},
        },
    }
    leader, worker = told(data, role="leader"), told(data, role="worker")
    assert leader.nova.discovery == FilesystemDiscovery(path=shared)
    assert leader.tokio.worker_threads == 2
    assert worker.tokio.worker_threads == 1
    assert worker.nixl == NixlConfig()
    assert worker.object is None


# Configuration loading priority.


def test_priority_1_code_defaults_are_the_lowest() -> None:
    assert told() == KvbmConfig()
    assert told(None, "[tokio]\nworker_threads = 2").tokio.worker_threads == 2


def test_priority_2_system_config_is_where_the_manual_says() -> None:
    assert SYSTEM_CONFIG == "/opt/dynamo/etc/kvbm.toml"


def test_priority_3_user_config_wins_over_system_config(tmp_path: Path) -> None:
    system, user = tmp_path / "system.toml", tmp_path / "user.toml"
    system.write_text("[tokio]\nworker_threads = 2\n")
    user.write_text("[tokio]\nworker_threads = 3\n")
    found = gather_facts({"KVBM_CONFIG_PATH": str(user)}, system_config=str(system))
    assert [file.origin.name for file in found.files] == [str(system), str(user)]


def test_priority_4_environment_wins_over_files() -> None:
    env = {"KVBM_TOKIO_WORKER_THREADS": "4"}
    assert told(None, "[tokio]\nworker_threads = 3", env=env).tokio.worker_threads == 4


def test_priority_5_json_wins_over_environment() -> None:
    env = {"KVBM_TOKIO_WORKER_THREADS": "4"}
    assert told({"tokio": {"worker_threads": 5}}, env=env).tokio.worker_threads == 5


# Discovery.


def test_etcd_discovery_in_toml() -> None:
    file = ETCD + 'endpoints = ["http://localhost:2379"]\nttl_secs = 60'
    expected = EtcdDiscovery(
        cluster_id="my-cluster", endpoints=("http://localhost:2379",), ttl_secs=60
    )
    assert told(None, file).nova.discovery == expected


def test_p2p_discovery_in_toml() -> None:
    file = (
        '[nova.discovery.p2p]\ncluster_id = "my-cluster"\nbootstrap_peers = ["192.168.1.10:5000"]'
    )
    expected = P2pDiscovery(cluster_id="my-cluster", bootstrap_peers=("192.168.1.10:5000",))
    assert told(None, file).nova.discovery == expected


def test_filesystem_discovery_in_toml() -> None:
    file = '[nova.discovery.filesystem]\npath = "/srv/kvbm-discovery"'
    assert told(None, file).nova.discovery == FilesystemDiscovery(path="/srv/kvbm-discovery")


def test_discovery_is_optional() -> None:
    assert told().nova.discovery is None


def test_choose_one_discovery_method() -> None:
    file = ETCD + '[nova.discovery.p2p]\ncluster_id = "c"'
    assert error(None, file).message == "discovery is either 'etcd' or 'p2p', not both"


# Cache tiers.


def test_note_num_blocks_takes_priority_over_cache_size_gb() -> None:
    host = told({"cache": {"host": {"num_blocks": 7, "cache_size_gb": 4.0}}}).cache.host
    assert count_blocks(host, bytes_per_block=1_000_000) == 7


def test_host_and_disk_tiers_hold_their_fields() -> None:
    tiers = {"host": {"num_blocks": 1}, "disk": {"num_blocks": 2}}
    cache = told({"cache": tiers}).cache
    assert cache.host == HostCache(num_blocks=1)
    assert cache.disk == DiskCache(num_blocks=2)


# Offload policies.


@pytest.mark.parametrize("tier", ["g1_to_g2", "g2_to_g3"])
@pytest.mark.parametrize("policy", ["pass_all", "presence", "presence_lfu"])
def test_policy_of_the_manual_is_known(tier: str, policy: str) -> None:
    config = told({"offload": {tier: {"policies": [policy]}}})
    assert at(config, f"offload.{tier}.policies") == [policy]


def test_policies_are_kept_in_their_order() -> None:
    policies = ["presence_lfu", "presence", "pass_all"]
    config = told({"offload": {"g1_to_g2": {"policies": policies}}})
    assert config.offload.g1_to_g2.policies == tuple(policies)


def test_g1_to_g2_default_prevents_duplicate_transfers() -> None:
    assert told().offload.g1_to_g2.policies == ("presence",)


def test_g2_to_g3_default_offloads_blocks_used_eight_times() -> None:
    tier = told().offload.g2_to_g3
    assert tier.policies == ("presence_lfu",)
    assert tier.presence_lfu.min_lfu_count == 8


# Object storage.


@pytest.mark.parametrize(("name", "value", "default"), STORE_ROWS, ids=[r[0] for r in STORE_ROWS])
def test_s3_field_is_read_and_has_its_default(
    name: str, value: TomlValue, default: TomlValue
) -> None:
    path = f"object.client.{name}"
    assert at(told({"object": {"client": {"type": "s3"}}}), path) == default
    assert at(told({"object": {"client": {"type": "s3", name: value}}}), path) == value


@pytest.mark.parametrize("kind", ["s3", "nixl"])
def test_client_type_is_s3_or_nixl(kind: str) -> None:
    client = {"type": kind} if kind == "s3" else {"type": kind, "backend": "s3"}
    assert at(told({"object": {"client": client}}), "object.client.type") == kind


def test_s3_in_toml() -> None:
    file = """
        [object.client]
        type = "s3"
        bucket = "kvbm-blocks"
        region = "us-east-1"
        max_concurrent_requests = 16
    """
    found = told(None, file).object
    assert found is not None
    assert found.client == S3Client()


# NIXL backends.


def test_nixl_backends_in_toml() -> None:
    nixl = told(None, "[nixl.backends]\nUCX = {}\nPOSIX = {}\nGDS = {}").nixl
    assert nixl is not None
    assert {backend.name for backend in nixl.backends} == {"UCX", "POSIX", "GDS"}


def test_ucx_and_posix_are_enabled_by_default() -> None:
    assert told().nixl == NixlConfig()
    assert {backend.name for backend in NixlConfig().backends} == {"UCX", "POSIX"}


# Profiles.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cache.host.cache_size_gb", 4.0),
        ("tokio.worker_threads", 8),
        ("nixl.backends.GDS", {}),
        ("nova.discovery", {"type": "filesystem", "path": "/srv/x"}),
        ("object.client", {"type": "s3"}),
    ],
)
def test_leader_and_worker_may_differ(name: str, value: TomlValue) -> None:
    data = {"worker": nested(name, value)}
    assert at(told(data, role="worker"), name) is not None
    assert at(told(data, role="worker"), name) != at(told(data, role="leader"), name)


def test_object_may_be_inherited_from_default_or_separate() -> None:
    data = {
        "default": {"object": {"client": {"type": "s3", "bucket": "shared"}}},
        "worker": {"object": {"client": {"bucket": "own"}}},
    }
    assert at(told(data, role="leader"), "object.client.bucket") == "shared"
    assert at(told(data, role="worker"), "object.client.bucket") == "own"


def test_loading_takes_the_values_of_the_role() -> None:
    text = json.dumps({s: {"tokio": {"worker_threads": n}} for s, n in
                       (("leader", 2), ("worker", 1))})  # fmt: skip
    assert load("leader", text, environ={}, cpu_count=CPUS).tokio.worker_threads == 2
    assert load("worker", text, environ={}, cpu_count=CPUS).tokio.worker_threads == 1
