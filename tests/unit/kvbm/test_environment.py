from __future__ import annotations

import pytest

from launcher.config.problems import WARNING
from launcher.kvbm.environment import EXTRA_VARIABLES, VARIABLES, parse_environment
from launcher.kvbm.layers import find_value
from launcher.kvbm.model import EtcdDiscovery
from launcher.kvbm.render import as_data
from tests.support.kvbm import error, problems, told, warnings

SIZED = {"KVBM_CACHE_HOST_SIZE_GB": "1"}
THREADS = "KVBM_TOKIO_WORKER_THREADS"
SIZE = "KVBM_CACHE_HOST_SIZE_GB"
ETCD = {"nova": {"discovery": {"type": "etcd"}}}
P2P = {"nova": {"discovery": {"type": "p2p"}}}
CLUSTER = {"KVBM_NOVA_DISCOVERY_CLUSTER_ID": "c"}
# Variable, its text, the value, and what else has to be said.
EXTRA_ROWS: list[tuple[str, str, object, object]] = [
    ("KVBM_CACHE_HOST_CACHE_SIZE_GB", "2.5", 2.5, {}),
    ("KVBM_CACHE_DISK_CACHE_SIZE_GB", "2.5", 2.5, {}),
    ("KVBM_CACHE_DISK_USE_GDS", "true", True, {}),
    ("KVBM_CACHE_DISK_STORAGE_PATH", "/mnt", "/mnt", {}),
    ("KVBM_CACHE_PARALLELISM", "replicated_data", "replicated_data", {}),
    ("KVBM_ONBOARD_MODE", "intra", "intra", {}),
    ("KVBM_NIXL_BACKENDS", "{UCX={},POSIX={}}", {"POSIX": {}, "UCX": {}}, {}),
    ("KVBM_NOVA_DISCOVERY_TYPE", "etcd", "etcd", {}),
    ("KVBM_NOVA_DISCOVERY_CLUSTER_ID", "c", "c", ETCD),
    ("KVBM_NOVA_DISCOVERY_ENDPOINTS", '["http://e:1"]', ["http://e:1"], ETCD),
    ("KVBM_NOVA_DISCOVERY_TTL_SECS", "30", 30, ETCD),
    ("KVBM_NOVA_DISCOVERY_OPERATION_TIMEOUT_SECS", "5", 5, ETCD),
    ("KVBM_NOVA_DISCOVERY_MAX_RETRIES", "5", 5, ETCD),
    ("KVBM_NOVA_DISCOVERY_BOOTSTRAP_PEERS", "[h:1, h:2]", ["h:1", "h:2"], P2P),
    ("KVBM_NOVA_DISCOVERY_LISTEN_PORT", "4001", 4001, P2P),
    ("KVBM_NOVA_DISCOVERY_REPLICATION_FACTOR", "2", 2, P2P),
    ("KVBM_NOVA_DISCOVERY_ENABLE_MDNS", "true", True, P2P),
    ("KVBM_NOVA_DISCOVERY_RECORD_TTL_SECS", "60", 60, P2P),
    ("KVBM_NOVA_DISCOVERY_PATH", "/p", "/p", {"nova": {"discovery": {"type": "filesystem"}}}),
]
PATHS = {variable.name: variable.path for variable in VARIABLES}


@pytest.mark.parametrize(
    ("name", "text", "value", "data"), EXTRA_ROWS, ids=[row[0] for row in EXTRA_ROWS]
)
def test_variable_beside_the_manual_is_read(
    name: str, text: str, value: object, data: object
) -> None:
    config = told(data, env={**(CLUSTER if "DISCOVERY" in name else {}), name: text})
    assert find_value(as_data(config), PATHS[name]) == value


def test_extra_rows_are_complete() -> None:
    assert [row[0] for row in EXTRA_ROWS] == [variable.name for variable in EXTRA_VARIABLES]


@pytest.mark.parametrize("text", ["8", " 8 ", "08", "+8"])
def test_integer_in_kvbms_spellings_is_taken(text: str) -> None:
    assert told(env={THREADS: text}).tokio.worker_threads == 8


@pytest.mark.parametrize(
    "text", ["1e3", "1_000", "0x10", '"8"', "abc", "4.0", "true", "٣", "9" * 90]
)
def test_integer_in_other_spellings_is_refused(text: str) -> None:
    found = error(env={THREADS: text})
    assert found.message.startswith("expected an integer, got")
    assert found.origin is not None
    assert found.origin.name == THREADS


@pytest.mark.parametrize(
    ("text", "value"), [("4", 4.0), ("4.5", 4.5), (".5", 0.5), ("5.", 5.0), ("1.5e1", 15.0)]
)
def test_number_in_kvbms_spellings_is_taken(text: str, value: float) -> None:
    assert told(env={SIZE: text}).cache.host.cache_size_gb == value


@pytest.mark.parametrize(
    "text", ["1e3", "nan", "inf", "4GB", "4,5", ".", "1.5e", "1.5e+", "-", "1.0e999", "-1"]
)
def test_number_in_other_spellings_is_refused(text: str) -> None:
    assert error(env={SIZE: text}).message.startswith("expected a number")


@pytest.mark.parametrize("text", ["True", "1", "yes", "FALSE"])
def test_boolean_in_other_spellings_is_refused(text: str) -> None:
    assert "true or false" in error(env={"KVBM_CACHE_DISK_USE_GDS": text}).message


@pytest.mark.parametrize("text", ["123", "10.5", "true", '"123"'])
def test_text_that_looks_like_a_number_stays_text(text: str) -> None:
    disk = told(env={"KVBM_CACHE_DISK_STORAGE_PATH": text}).cache.disk
    assert disk is not None
    assert disk.storage_path == text.strip('"')


@pytest.mark.parametrize("text", ["10.0.0.1", "::1"])
def test_address_in_a_variable_is_taken(text: str) -> None:
    assert told(env={"KVBM_NOVA_BACKEND_TCP_ADDR": text}).nova.backend.tcp_addr == text


@pytest.mark.parametrize("text", ["10", "localhost", "10.0.0.1:80", "fe80::1%eth0"])
def test_address_that_is_none_is_refused(text: str) -> None:
    found = error(env={"KVBM_NOVA_BACKEND_TCP_ADDR": text})
    assert "expected an IP address" in found.message


@pytest.mark.parametrize("text", ["", "   "])
def test_empty_variable_is_not_set(text: str) -> None:
    assert told(env={THREADS: text}).tokio.worker_threads == 1


def test_variable_name_in_small_letters_counts() -> None:
    assert told(env={"kvbm_tokio_worker_threads": "7"}).tokio.worker_threads == 7


def test_variable_name_in_capitals_wins_over_small_letters() -> None:
    env = {"kvbm_tokio_worker_threads": "7", THREADS: "8"}
    assert told(env=env).tokio.worker_threads == 8


def test_other_variables_are_left_alone() -> None:
    assert parse_environment({"PATH": "/bin", "XKVBM_TOKIO": "1"}).documents == ()


def test_unknown_variable_is_a_warning_with_the_nearest_name() -> None:
    (problem,) = problems(env={**SIZED, "KVBM_TOKIO_WORKER_THREAD": "4"})
    assert problem.severity == WARNING
    assert problem.hint == "did you mean 'KVBM_TOKIO_WORKER_THREADS'?"


def test_unknown_variable_with_strict_is_an_error() -> None:
    found = error(env={**SIZED, "KVBM_FOO": "4"}, strict=True)
    assert found.message == "no setting of KVBM is called 'KVBM_FOO'"


def test_version_check_variable_is_known() -> None:
    assert warnings(env={**SIZED, "KVBM_DISABLE_MAX_VERSION_CHECK": "1"}) == []


@pytest.mark.parametrize("tier", ["HOST", "DISK"])
def test_both_size_spellings_warn_and_the_manual_wins(tier: str) -> None:
    env = {f"KVBM_CACHE_{tier}_SIZE_GB": "4", f"KVBM_CACHE_{tier}_CACHE_SIZE_GB": "8"}
    (message,) = warnings(env=env)
    assert message == f"'KVBM_CACHE_{tier}_SIZE_GB' says otherwise, and wins"
    size = find_value(as_data(told(env=env)), ("cache", tier.lower(), "cache_size_gb"))
    assert size == 4.0


def test_both_size_spellings_that_agree_are_quiet() -> None:
    env = {"KVBM_CACHE_HOST_SIZE_GB": "4", "KVBM_CACHE_HOST_CACHE_SIZE_GB": "4"}
    assert warnings(env=env) == []


@pytest.mark.parametrize("text", ["UCX,POSIX", '{"UCX": {}}', "{UCX", "1\nx = {}"])
def test_backends_that_are_no_table_say_how(text: str) -> None:
    found = error(env={"KVBM_NIXL_BACKENDS": text})
    assert found.hint == "write it like {UCX={},POSIX={}}"


def test_list_without_brackets_says_how() -> None:
    found = error(env={"KVBM_NOVA_DISCOVERY_ENDPOINTS": "http://a,http://b"})
    assert "brackets" in found.message


def test_discovery_variable_adds_to_the_type_from_json() -> None:
    data = {"nova": {"discovery": {"type": "etcd", "cluster_id": "c"}}}
    found = told(data, env={"KVBM_NOVA_DISCOVERY_TTL_SECS": "30"}).nova.discovery
    assert found == EtcdDiscovery(cluster_id="c", ttl_secs=30)


def test_discovery_variable_without_a_type_is_refused() -> None:
    found = error(env=CLUSTER)
    assert "needs 'type'" in found.message
    assert found.origin is not None
    assert found.origin.name == "KVBM_NOVA_DISCOVERY_CLUSTER_ID"
