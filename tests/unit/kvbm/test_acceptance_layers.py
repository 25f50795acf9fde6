"""What KVBM itself does with layers, and with what is wrong: our reading has to agree."""

from __future__ import annotations

import pytest

from launcher.config.problems import errors_of
from launcher.errors import ConfigError
from launcher.kvbm.layers import split
from launcher.kvbm.loading import read_overrides
from launcher.kvbm.model import (
    DiskCache,
    EtcdDiscovery,
    FilesystemDiscovery,
    HostCache,
    KvbmConfig,
    NixlConfig,
)
from tests.support.kvbm import EXAMPLE, error, problems, told

ETCD = {"type": "etcd", "cluster_id": "c"}


def test_user_file_over_system_file_merges() -> None:
    system = "[tokio]\nworker_threads = 2\nmax_blocking_threads = 7"
    tokio = told(None, system, "[tokio]\nworker_threads = 3").tokio
    assert (tokio.worker_threads, tokio.max_blocking_threads) == (3, 7)


def test_list_in_a_higher_layer_replaces() -> None:
    file = '[offload.g1_to_g2]\npolicies = ["pass_all", "presence"]'
    config = told({"offload": {"g1_to_g2": {"policies": ["presence_lfu"]}}}, file)
    assert config.offload.g1_to_g2.policies == ("presence_lfu",)


def test_nixl_backends_of_two_layers_add_up() -> None:
    file = "[nixl.backends]\nUCX = {}\nPOSIX = {}"
    nixl = told({"nixl": {"backends": {"GDS": {}}}}, file).nixl
    assert nixl is not None
    assert [backend.name for backend in nixl.backends] == ["GDS", "POSIX", "UCX"]


def test_nixl_backend_alone_replaces_the_default() -> None:
    nixl = told({"nixl": {"backends": {"GDS": {}}}}).nixl
    assert nixl is not None
    assert [backend.name for backend in nixl.backends] == ["GDS"]


def test_nixl_null_over_a_file_is_off() -> None:
    assert told({"nixl": None}, "[nixl.backends]\nUCX = {}").nixl is None


@pytest.mark.parametrize("text", ["65536", "-1"])
def test_port_out_of_range_names_its_type(text: str) -> None:
    assert "u16" in error(env={"KVBM_NOVA_BACKEND_TCP_PORT": text}).message


def test_float_for_an_integer_variable_is_refused() -> None:
    found = error(env={"KVBM_TOKIO_WORKER_THREADS": "4.0"})
    assert found.message == "expected an integer, got '4.0'"


def test_string_for_an_integer_in_json_is_refused() -> None:
    found = error({"default": {"tokio": {"worker_threads": "4"}}})
    assert "got a string" in found.message
    assert found.hint == "remove the quotes"


def test_integer_for_a_size_in_json_becomes_a_float() -> None:
    size = told({"cache": {"host": {"cache_size_gb": 4}}}).cache.host.cache_size_gb
    assert size == 4.0
    assert isinstance(size, float)


def test_unknown_policy_lists_the_words_and_its_index() -> None:
    found = error({"default": {"offload": {"g1_to_g2": {"policies": ["presence", "lru"]}}}})
    assert found.message == "expected one of 'pass_all', 'presence', 'presence_lfu', got 'lru'"
    assert found.path == ("default", "offload", "g1_to_g2", "policies", 1)


def test_policies_as_a_bare_string_are_refused() -> None:
    found = error({"offload": {"g1_to_g2": {"policies": "presence"}}})
    assert found.message == "expected a list of words, got a string"


@pytest.mark.parametrize("kind", ["zookeeper", "Etcd"])
def test_unknown_discovery_lists_the_words(kind: str) -> None:
    found = error({"nova": {"discovery": {"type": kind, "cluster_id": "c"}}})
    assert "'etcd', 'p2p', 'filesystem'" in found.message


@pytest.mark.parametrize(("kind", "field"), [("etcd", "cluster_id"), ("filesystem", "path")])
def test_discovery_without_a_required_field_names_it(kind: str, field: str) -> None:
    assert f"needs '{field}'" in error({"nova": {"discovery": {"type": kind}}}).message


def test_object_without_client_or_type_names_it() -> None:
    assert "'client'" in error({"object": {}}).message
    assert "'type'" in error({"object": {"client": {"bucket": "b"}}}).message


def test_leader_section_leaves_the_variable_to_the_worker() -> None:
    env, data = {"KVBM_TOKIO_WORKER_THREADS": "7"}, {"leader": {"tokio": {"worker_threads": 4}}}
    assert told(data, role="leader", env=env).tokio.worker_threads == 4
    assert told(data, role="worker", env=env).tokio.worker_threads == 7


@pytest.mark.parametrize("role", ["leader", "worker"])
def test_default_section_over_variable_wins(role: str) -> None:
    env, data = {"KVBM_TOKIO_WORKER_THREADS": "7"}, {"default": {"tokio": {"worker_threads": 4}}}
    assert told(data, role=role, env=env).tokio.worker_threads == 4


def test_role_section_adds_to_the_sizes_of_default() -> None:
    data = {
        "default": {"cache": {"host": {"cache_size_gb": 2.0}, "disk": {"cache_size_gb": 8.0}}},
        "leader": {"cache": {"host": {"num_blocks": 10}}},
    }
    cache = told(data, role="leader").cache
    assert cache.host == HostCache(cache_size_gb=2.0, num_blocks=10)
    assert cache.disk == DiskCache(cache_size_gb=8.0)


def test_null_in_a_role_section_resets_for_that_role() -> None:
    data = {
        "default": {"cache": {"host": {"cache_size_gb": 2.0}}},
        "leader": {"cache": {"host": {"cache_size_gb": None}}},
    }
    assert told(data, role="leader").cache.host.cache_size_gb is None
    assert told(data, role="worker").cache.host.cache_size_gb == 2.0


def test_wrong_type_in_the_worker_section_leaves_the_leader_alone() -> None:
    data = {"worker": {"tokio": {"worker_threads": "4"}}}
    assert told(data, role="leader") == KvbmConfig()
    with pytest.raises(ConfigError) as caught:
        told(data, role="worker")
    assert caught.value.problems[0].path[0] == "worker"


def test_json_that_is_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 problem") as caught:
        read_overrides("[]")
    assert caught.value.problems[0].message == "expected a JSON object, got an array"


def test_complete_example_for_the_leader() -> None:
    config = told(EXAMPLE, role="leader")
    assert config.cache.host.cache_size_gb == 4.0
    assert config.tokio.worker_threads == 2
    assert isinstance(config.nova.discovery, FilesystemDiscovery)
    assert config.offload.g2_to_g3.presence_lfu.min_lfu_count == 8
    assert config.object is not None
    assert config.object.client.force_path_style


def test_complete_example_for_the_worker() -> None:
    config = told(EXAMPLE, role="worker")
    assert config.cache.host.cache_size_gb == 2.0
    assert config.tokio.worker_threads == 1
    assert config.nixl == NixlConfig()
    assert config.nova.discovery is None
    assert config.object is None
    assert config.nova.backend.tcp_port == 0


@pytest.mark.parametrize(
    "data",
    [
        {"tokio": {"worker_threads": 0}},
        {"tokio": {"worker_threads": 65}},
        {"rayon": {"num_threads": 0}},
        {"tokio": {"max_blocking_threads": 0}},
    ],
)
def test_thread_numbers_out_of_range_are_refused(data: dict[str, object]) -> None:
    assert error(data, cpus=64).message.startswith("expected an integer")


@pytest.mark.parametrize("field", [{"ttl_secs": 9}, {"ttl_secs": 601}, {"max_retries": 11}])
def test_etcd_numbers_out_of_range_are_refused(field: dict[str, int]) -> None:
    (name,) = field
    assert error({"nova": {"discovery": {**ETCD, **field}}}).path[-1] == name


@pytest.mark.parametrize("role", ["leader", "worker"])
def test_flat_json_reaches_both_roles(role: str) -> None:
    assert told({"tokio": {"worker_threads": 4}}, role=role).tokio.worker_threads == 4


def test_flat_json_and_a_section_mix() -> None:
    data = {"tokio": {"worker_threads": 4}, "leader": {"tokio": {"worker_threads": 2}}}
    assert told(data, role="leader").tokio.worker_threads == 2
    assert told(data, role="worker").tokio.worker_threads == 4


def test_host_size_variable_of_the_manual_works() -> None:
    assert told(env={"KVBM_CACHE_HOST_SIZE_GB": "4.0"}).cache.host.cache_size_gb == 4.0


def test_nested_discovery_table_is_etcd() -> None:
    config = told(None, '[nova.discovery.etcd]\ncluster_id = "c"')
    assert config.nova.discovery == EtcdDiscovery(cluster_id="c")


@pytest.mark.parametrize("section", [None, 3, []])
def test_section_that_is_no_table_is_an_error_for_both_roles(section: object) -> None:
    document = read_overrides({"leader": section})  # type: ignore[dict-item]
    _, found = split(document.data, document.origin)
    assert "expected a table" in found[0].message
    with pytest.raises(ConfigError):
        told({"leader": section}, role="worker")


def test_acceptance_examples_have_no_hidden_errors() -> None:
    assert errors_of(problems(EXAMPLE)) == ()
