"""What KVBM itself does with these inputs, one row each: our reading has to agree."""

from __future__ import annotations

import pytest

from launcher.kvbm.layers import find_value
from launcher.kvbm.loading import load
from launcher.kvbm.model import (
    DiskCache,
    EtcdDiscovery,
    FilesystemDiscovery,
    HostCache,
    KvbmConfig,
    NixlClient,
    NixlConfig,
    NovaBackend,
    P2pDiscovery,
    S3Client,
    count_blocks,
    effective_blocking_threads,
    effective_rayon_threads,
    is_enabled,
    minio_client,
)
from launcher.kvbm.render import as_data
from tests.support.kvbm import error, told

MEGABYTE = 1_000_000
ETCD = {"type": "etcd", "cluster_id": "c"}


def discovery(**fields: object) -> object:
    return told({"nova": {"discovery": fields}}).nova.discovery


def client(**fields: object) -> object:
    found = told({"object": {"client": fields}}).object
    return found and found.client


def test_threads_without_settings_are_the_defaults() -> None:
    config = told()
    assert config.tokio.worker_threads == 1
    assert config.tokio.max_blocking_threads is None
    assert effective_blocking_threads(config) == 512
    assert config.rayon.num_threads is None
    assert effective_rayon_threads(config, 12) == 12


def test_backend_without_settings_binds_any_address() -> None:
    backend = told().nova.backend
    assert backend == NovaBackend(tcp_port=0, tcp_addr=None, tcp_interface=None)
    assert backend.bind_address() == ("0.0.0.0", 0)  # noqa: S104


def test_threads_from_variables_are_integers() -> None:
    env = {"KVBM_TOKIO_WORKER_THREADS": "8", "KVBM_TOKIO_MAX_BLOCKING_THREADS": "256"}
    tokio = told(env=env).tokio
    assert (tokio.worker_threads, tokio.max_blocking_threads) == (8, 256)


def test_json_over_variable_wins() -> None:
    env = {"KVBM_TOKIO_WORKER_THREADS": "4"}
    assert told({"tokio": {"worker_threads": 24}}, env=env).tokio.worker_threads == 24


def test_flat_json_with_two_sections_sets_both() -> None:
    data = {"tokio": {"worker_threads": 16}, "nova": {"backend": {"tcp_port": 9090}}}
    config = told(data)
    assert (config.tokio.worker_threads, config.nova.backend.tcp_port) == (16, 9090)


def test_empty_json_is_like_none() -> None:
    assert told({}) == told()


def test_role_sections_over_default_win() -> None:
    data = {section: {"tokio": {"worker_threads": n}} for section, n in
            (("default", 4), ("leader", 2), ("worker", 8))}  # fmt: skip
    assert told(data, role="leader").tokio.worker_threads == 2
    assert told(data, role="worker").tokio.worker_threads == 8


@pytest.mark.parametrize("role", ["leader", "worker"])
def test_default_section_alone_holds_for_both_roles(role: str) -> None:
    data = {"default": {"tokio": {"worker_threads": 4}}}
    assert told(data, role=role).tokio.worker_threads == 4


def test_default_and_leader_sections_merge_deeply() -> None:
    data = {
        "default": {"cache": {"host": {"cache_size_gb": 2.0}}},
        "leader": {"tokio": {"worker_threads": 2}},
    }
    leader, worker = told(data, role="leader"), told(data, role="worker")
    assert (leader.cache.host.cache_size_gb, leader.tokio.worker_threads) == (2.0, 2)
    assert (worker.cache.host.cache_size_gb, worker.tokio.worker_threads) == (2.0, 1)


@pytest.mark.parametrize("role", ["leader", "worker"])
def test_role_without_json_loads(role: str) -> None:
    assert told(role=role) == KvbmConfig()


def test_override_by_program_sets_the_value() -> None:
    config = load(overrides={"rayon": {"num_threads": 8}}, environ={}, cpu_count=64)
    assert config.rayon.num_threads == 8


def test_config_used_as_source_gives_the_same_values() -> None:
    config = told({"tokio": {"worker_threads": 4, "max_blocking_threads": 128}})
    assert told(as_data(config)) == config


def test_backend_with_address_binds_that_pair() -> None:
    data = {"nova": {"backend": {"tcp_addr": "192.168.1.100", "tcp_port": 8080}}}
    assert told(data).nova.backend.bind_address() == ("192.168.1.100", 8080)


def test_address_and_interface_together_are_refused() -> None:
    found = error({"nova": {"backend": {"tcp_addr": "0.0.0.0", "tcp_interface": "eth0"}}})  # noqa: S104
    assert "mutually exclusive" in found.message


def test_num_blocks_over_size_wins() -> None:
    host = HostCache(num_blocks=1000, cache_size_gb=10.0)
    assert count_blocks(host, MEGABYTE) == 1000
    assert is_enabled(host)


def test_size_alone_is_counted_in_blocks() -> None:
    assert count_blocks(HostCache(cache_size_gb=10.0), MEGABYTE) == 10_000


def test_empty_host_cache_is_off() -> None:
    assert count_blocks(HostCache(), MEGABYTE) is None
    assert not is_enabled(HostCache())


def test_disk_cache_keeps_its_values() -> None:
    data = {"cache": {"disk": {"num_blocks": 5000, "use_gds": True, "storage_path": "/nvme"}}}
    disk = told(data).cache.disk
    assert disk == DiskCache(num_blocks=5000, use_gds=True, storage_path="/nvme")
    assert is_enabled(disk)


def test_parallelism_word_is_written_back() -> None:
    config = told({"cache": {"parallelism": "replicated_data"}})
    assert find_value(as_data(config), ("cache", "parallelism")) == "replicated_data"


def test_etcd_with_some_fields_gets_the_other_defaults() -> None:
    found = discovery(type="etcd", cluster_id="c", endpoints=["http://e:2379"], ttl_secs=120)
    assert found == EtcdDiscovery(
        cluster_id="c",
        endpoints=("http://e:2379",),
        ttl_secs=120,
        operation_timeout_secs=30,
        max_retries=3,
    )


def test_p2p_with_some_fields_gets_the_other_defaults() -> None:
    found = discovery(
        type="p2p", cluster_id="c", listen_port=4001, bootstrap_peers=["h:1"], enable_mdns=True
    )
    assert found == P2pDiscovery(
        cluster_id="c",
        listen_port=4001,
        bootstrap_peers=("h:1",),
        enable_mdns=True,
        replication_factor=3,
        record_ttl_secs=600,
    )


def test_filesystem_path_is_kept_exactly() -> None:
    found = discovery(type="filesystem", path="./a//b/../c.json")
    assert found == FilesystemDiscovery(path="./a//b/../c.json")


def test_etcd_written_out_has_its_type() -> None:
    written = as_data(told({"nova": {"discovery": ETCD}}))
    assert find_value(written, ("nova", "discovery", "type")) == "etcd"
    assert find_value(written, ("nova", "discovery", "cluster_id")) == "c"


def test_policies_keep_their_order_and_round_trip() -> None:
    policies = ["pass_all", "presence", "presence_lfu"]
    config = told({"offload": {"g1_to_g2": {"policies": policies}}})
    assert config.offload.g1_to_g2.policies == tuple(policies)
    assert told(as_data(config)) == config


def test_lfu_count_in_a_tier_is_taken() -> None:
    config = told({"offload": {"g1_to_g2": {"presence_lfu": {"min_lfu_count": 16}}}})
    assert config.offload.g1_to_g2.presence_lfu.min_lfu_count == 16


def test_lfu_policy_alone_counts_to_eight() -> None:
    config = told({"offload": {"g2_to_g3": {"policies": ["presence_lfu"]}}})
    assert config.offload.g2_to_g3.presence_lfu.min_lfu_count == 8


def test_offload_json_for_both_tiers_is_taken() -> None:
    tiers = {
        "g1_to_g2": {"policies": ["presence"]},
        "g2_to_g3": {"policies": ["presence_lfu"], "presence_lfu": {"min_lfu_count": 4}},
    }
    offload = told({"offload": tiers}).offload
    assert offload.g1_to_g2.policies == ("presence",)
    assert offload.g2_to_g3.presence_lfu.min_lfu_count == 4


def test_lfu_count_begins_at_one() -> None:
    tier = {"presence_lfu": {"min_lfu_count": 1}}
    assert told({"offload": {"g2_to_g3": tier}}).offload.g2_to_g3.presence_lfu.min_lfu_count == 1
    tier["presence_lfu"]["min_lfu_count"] = 0
    assert "at least 1, got 0" in error({"offload": {"g2_to_g3": tier}}).message


def test_onboard_mode_is_one_of_two_words() -> None:
    assert told({"onboard": {}}).onboard.mode == "inter"
    assert told({"onboard": {"mode": "inter"}}).onboard.mode == "inter"
    assert told({"onboard": {"mode": "intra"}}).onboard.mode == "intra"
    assert "'inter', 'intra'" in error({"onboard": {"mode": "Intra"}}).message


def test_s3_with_bucket_and_region_gets_the_other_defaults() -> None:
    assert client(type="s3", bucket="b", region="r") == S3Client(
        bucket="b",
        region="r",
        force_path_style=False,
        max_concurrent_requests=16,
        endpoint_url=None,
    )


def test_nixl_client_over_s3_keeps_its_values() -> None:
    fields = {"bucket": "b", "endpoint_url": "http://m", "force_path_style": True}
    expected = NixlClient(backend="s3", bucket="b", endpoint_url="http://m", force_path_style=True)
    assert client(type="nixl", backend="s3", **fields) == expected


def test_minio_client_uses_path_style() -> None:
    made = minio_client("http://minio:9000", "b")
    assert (made.force_path_style, made.region) == (True, "us-east-1")


def test_nixl_without_settings_has_ucx_and_posix() -> None:
    nixl = told().nixl
    assert nixl is not None
    assert nixl.find_backend("UCX")
    assert nixl.find_backend("POSIX")
    assert nixl.find_backend("GDS") is None


def test_nixl_names_are_found_in_any_case() -> None:
    found = NixlConfig(backends=()).with_backend("ucx").find_backend("Ucx")
    assert found is not None
    assert found.name == "UCX"


def test_nixl_parameters_stay_strings() -> None:
    parameters = {"threads": "4", "buffer_size": "1048576"}
    nixl = told({"nixl": {"backends": {"GDS": parameters}}}).nixl
    assert nixl is not None
    found = nixl.find_backend("GDS")
    assert found is not None
    assert dict(found.parameters) == parameters


def test_nixl_parameter_that_is_a_number_is_refused() -> None:
    found = error({"default": {"nixl": {"backends": {"GDS": {"threads": 4}}}}})
    assert found.path == ("default", "nixl", "backends", "GDS", "threads")
