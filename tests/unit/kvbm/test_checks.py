from __future__ import annotations

import pytest

from launcher.kvbm.model import HostCache, NovaBackend, count_blocks, is_enabled
from tests.support.kvbm import error, warnings

SIZED = "[cache.host]\ncache_size_gb = 1"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"tokio": {"worker_threads": True}}, "expected an integer of at least 1, got a boolean"),
        ({"nova": {"backend": {"tcp_port": 1.0}}},
         "expected a u16, an integer from 0 to 65535, got a float"),
        ({"cache": {"host": {"cache_size_gb": "4GB"}}},
         "expected a number of gigabytes, got a string"),
        ({"cache": {"disk": {"use_gds": 1}}}, "expected a boolean, got an integer"),
        ({"cache": {"disk": {"storage_path": 1}}}, "expected a string, got an integer"),
        ({"cache": {"parallelism": 1}},
         "expected one of 'tensor_parallel', 'replicated_data', got an integer"),
        ({"nova": {"backend": {"tcp_addr": "localhost"}}},
         "expected an IP address, got 'localhost'"),
        ({"nova": {"discovery": {"type": "etcd", "cluster_id": "c", "endpoints": "http://e"}}},
         "expected a list of strings, got a string"),
        ({"nova": {"discovery": {"type": "etcd", "cluster_id": "c", "endpoints": [1]}}},
         "expected a string, got an integer"),
        ({"nixl": {"backends": 3}}, "expected a table of backends, got an integer"),
        ({"nixl": {"backends": {"UCX": []}}}, "expected a table of parameters, got an array"),
        ({"nixl": {"backends": {"UCX": {"a": True}}}}, "expected a string, got a boolean"),
        ({"nixl": {"backends": {"": {}}}}, "a name in it: expected a string that is not empty"),
        ({"object": {"client": {"type": "nixl"}}},
         "'object.client' of type 'nixl' needs 'backend'"),
        ({"object": {"client": {"type": "nixl", "backend": "azure"}}},
         "expected one of 's3', got 'azure'"),
        ({"offload": {"g1_to_g2": {"presence": 1}}}, "expected a table, got an integer"),
    ],
)  # fmt: skip
def test_wrong_value_says_what_was_expected(data: object, message: str) -> None:
    assert error(data).message == message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("KVBM_CACHE_DISK_STORAGE_PATH", "\udcff"),
        ("KVBM_NOVA_BACKEND_TCP_INTERFACE", "\udcff"),
        ("KVBM_NIXL_BACKENDS", "{UCX={a='\udcff'}}"),
    ],
)
def test_variable_that_is_no_text_is_refused(name: str, text: str) -> None:
    assert error(env={name: text}).origin is not None


def test_empty_parameter_is_a_string() -> None:
    assert warnings({"nixl": {"backends": {"POSIX": {"a": ""}}}}, SIZED) == []


def test_presence_takes_no_parameters() -> None:
    found = warnings({"offload": {"g1_to_g2": {"presence": {"x": 1}}}}, SIZED)
    assert found == ["KVBM ignores the unknown key 'x' in [offload.g1_to_g2.presence]"]


def test_presence_as_an_empty_table_is_quiet() -> None:
    assert warnings({"offload": {"g2_to_g3": {"presence": {}}}}, SIZED) == []


def test_interface_decides_the_address_itself() -> None:
    assert NovaBackend(tcp_interface="eth0").bind_address() is None


def test_tier_that_is_absent_has_no_blocks() -> None:
    assert count_blocks(None, 1) is None
    assert not is_enabled(None)
    assert is_enabled(HostCache(num_blocks=0))
