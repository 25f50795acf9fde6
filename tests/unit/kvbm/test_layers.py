from __future__ import annotations

import pytest

from launcher.config.problems import WARNING
from launcher.config.report import Locator
from launcher.kvbm.layers import stack
from launcher.kvbm.model import (
    EtcdDiscovery,
    FilesystemDiscovery,
    NixlClient,
    NixlConfig,
    P2pDiscovery,
)
from launcher.kvbm.render import render_source
from tests.support.kvbm import error, layers, problems, told, warnings

SIZED = "[cache.host]\ncache_size_gb = 1"


def place(path: str, data: object = None, *toml: str, role: str | None = None) -> str:
    found = layers(data, *toml)
    source = stack(found.layers, role).source(tuple(path.split(".")))
    return render_source(source, Locator(found.documents))


# Merging.


def test_empty_list_in_a_higher_layer_means_the_default() -> None:
    file = '[offload.g1_to_g2]\npolicies = ["pass_all"]'
    config = told({"offload": {"g1_to_g2": {"policies": []}}}, file)
    assert config.offload.g1_to_g2.policies == ("presence",)


def test_inner_parameters_of_a_backend_merge() -> None:
    file = '[nixl.backends.GDS]\nthreads = "4"'
    nixl = told({"nixl": {"backends": {"gds": {"size": "1"}}}}, file).nixl
    assert nixl == NixlConfig(backends=()).with_backend("GDS", threads="4", size="1")


@pytest.mark.parametrize("path", ["nixl", "cache.disk", "nova.discovery", "object"])
def test_null_turns_an_optional_table_off(path: str) -> None:
    file = """
        [nixl.backends]
        [cache.disk]
        [nova.discovery.filesystem]
        path = "p"
        [object.client]
        type = "s3"
    """
    first, *rest = path.split(".")
    config = told({first: {rest[0]: None} if rest else None}, file)
    value = getattr(config, first)
    assert (getattr(value, rest[0]) if rest else value) is None


@pytest.mark.parametrize(
    "data",
    [
        {"tokio": None},
        {"cache": None},
        {"cache": {"host": None}},
        {"nova": {"backend": {"tcp_port": None}}},
        {"offload": {"g1_to_g2": {"policies": None}}},
        {"nixl": {"backends": None}},
    ],
)
def test_null_for_what_is_not_optional_is_refused(data: object) -> None:
    assert "got null" in error(data).message


def test_null_for_worker_threads_means_one_per_cpu() -> None:
    assert told({"tokio": {"worker_threads": None}}).tokio.worker_threads is None


def test_scalar_over_a_table_replaces_it_and_is_refused() -> None:
    assert "expected a table, got an integer" in error({"tokio": 3}, "[tokio]").message


def test_table_over_a_scalar_replaces_it() -> None:
    config = told({"tokio": {"worker_threads": 2}}, "tokio = 3")
    assert config.tokio.worker_threads == 2


def test_dotted_json_key_is_one_unknown_key() -> None:
    messages = warnings({"tokio.worker_threads": 2}, SIZED)
    assert messages == ["KVBM ignores the unknown key 'tokio.worker_threads'"]


# Both spellings of discovery.


def test_nested_and_tagged_of_the_same_type_merge() -> None:
    file = '[nova.discovery.etcd]\ncluster_id = "c"\nttl_secs = 30\nendpoints = ["a", "b"]'
    data = {"nova": {"discovery": {"type": "etcd", "endpoints": ["c"]}}}
    expected = EtcdDiscovery(cluster_id="c", ttl_secs=30, endpoints=("c",))
    assert told(data, file).nova.discovery == expected


def test_other_type_in_a_higher_layer_drops_the_fields_below() -> None:
    file = '[nova.discovery.p2p]\ncluster_id = "below"'
    data = {"nova": {"discovery": {"type": "etcd"}}}
    assert "needs 'cluster_id'" in error(data, file).message


def test_type_changed_twice_keeps_the_last_fields_only() -> None:
    first = '[nova.discovery.p2p]\ncluster_id = "one"'
    second = '[nova.discovery.filesystem]\npath = "p"'
    data = {"nova": {"discovery": {"p2p": {"cluster_id": "two"}}}}
    assert told(data, first, second).nova.discovery == P2pDiscovery(cluster_id="two")


def test_tagged_discovery_in_toml_is_taken() -> None:
    file = '[nova.discovery]\ntype = "filesystem"\npath = "p"'
    assert told(None, file).nova.discovery == FilesystemDiscovery(path="p")


def test_nested_table_that_contradicts_its_type_is_refused() -> None:
    file = '[nova.discovery]\ntype = "p2p"\n[nova.discovery.etcd]\ncluster_id = "c"'
    assert "contradicts" in error(None, file).message


def test_nested_value_that_is_no_table_is_refused() -> None:
    found = problems(None, "[nova.discovery]\netcd = true")
    assert found[0].message == "'etcd': expected a table, got a boolean"


def test_field_of_another_type_is_a_warning() -> None:
    file = SIZED + '\n[nova.discovery.filesystem]\npath = "p"\nttl_secs = 3'
    (problem,) = problems(None, file)
    assert problem.message == "'ttl_secs' means nothing where 'type' is 'filesystem'"
    assert problem.severity == WARNING


def test_changed_client_type_drops_the_fields_below() -> None:
    file = '[object.client]\ntype = "s3"\nendpoint_url = "http://below"'
    config = told({"object": {"client": {"type": "nixl", "backend": "s3"}}}, file)
    assert config.object is not None
    assert config.object.client == NixlClient(backend="s3")


def test_backend_given_twice_in_one_layer_is_refused() -> None:
    found = error(None, "[nixl.backends]\nucx = {}\nUCX = {}")
    assert found.message == "the backend 'UCX' is given twice"


# Profiles in files.


def test_role_table_in_a_file_is_for_that_role() -> None:
    file = "[tokio]\nworker_threads = 2\n[leader.tokio]\nworker_threads = 4"
    assert told(None, file, role="leader").tokio.worker_threads == 4
    assert told(None, file, role="worker").tokio.worker_threads == 2


def test_role_table_in_a_file_wins_over_a_variable() -> None:
    env = {"KVBM_TOKIO_WORKER_THREADS": "7"}
    file = "[leader.tokio]\nworker_threads = 4"
    assert told(None, file, role="leader", env=env).tokio.worker_threads == 4


def test_misspelled_section_names_the_nearest() -> None:
    (problem,) = problems({"Leader": {}, "cache": {"host": {"num_blocks": 1}}})
    assert "unknown key 'Leader'" in problem.message


# Unknown keys.


def test_unknown_key_is_a_warning_at_its_place() -> None:
    (problem,) = problems(None, SIZED + "\n[tokio]\nworker_thread = 4")
    assert problem.message == "KVBM ignores the unknown key 'worker_thread' in [tokio]"
    assert problem.hint == "did you mean 'worker_threads'?"
    assert problem.severity == WARNING
    assert problem.path == ("tokio", "worker_thread")


def test_unknown_key_with_strict_is_an_error() -> None:
    assert error(None, SIZED + "\n[tokyo]", strict=True).hint == "did you mean 'tokio'?"


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({"messenger": {}}, "it is called 'nova' here"),
        ({"cache": {"host": {"size_gb": 1}}}, "it is called 'cache_size_gb' here"),
    ],
)
def test_name_of_another_generation_gets_its_name_here(data: object, hint: str) -> None:
    assert hint in [problem.hint for problem in problems(data, SIZED)]


def test_newer_section_is_ignored_with_a_warning() -> None:
    data = {"metrics": {"port": 1}, "cache": {"host": {"num_blocks": 1}}}
    assert warnings(data) == ["KVBM ignores the unknown key 'metrics'"]


def test_remark_between_three_underscores_is_no_unknown_key() -> None:
    assert warnings({"___note___": "hello", "tokio": {"___x___": 1}}, SIZED) == []


# Where a value was written.


def test_place_in_a_file_has_line_and_column() -> None:
    assert place("tokio.worker_threads", None, "[tokio]\nworker_threads = 2") == "kvbm0.toml:2:1"


def test_place_of_a_nested_discovery_is_where_it_was_written() -> None:
    file = '[nova.discovery.etcd]\ncluster_id = "c"'
    assert place("nova.discovery.cluster_id", None, file) == "kvbm0.toml:2:1"
    assert place("nova.discovery.type", None, file) == "kvbm0.toml:1:1"


def test_place_in_json_is_a_path() -> None:
    data = {"leader": {"tokio": {"worker_threads": 2}}}
    expected = "kv_connector_extra_config: leader.tokio.worker_threads"
    assert place("tokio.worker_threads", data, role="leader") == expected


def test_place_of_a_lower_case_backend_is_where_it_was_written() -> None:
    file = "[nixl.backends]\nPOSIX = {}\nucx = { a = '1' }"
    assert place("nixl.backends.UCX.a", None, file) == "kvbm0.toml:3:9"


def test_place_of_what_null_reset_is_the_null() -> None:
    found = place("nixl", {"nixl": None}, "[nixl.backends]\nUCX = {}")
    assert found == "kv_connector_extra_config: nixl"


def test_place_below_a_reset_table_is_the_default() -> None:
    data = {"default": {"cache": {"disk": None}}, "leader": {"cache": {"disk": {}}}}
    file = "[cache.disk]\nuse_gds = true"
    assert place("cache.disk.use_gds", data, file, role="leader") == "default"
    assert told(data, file, role="leader").cache.disk is not None


def test_place_of_an_unset_value_is_the_default() -> None:
    assert place("tokio.worker_threads") == "default"
