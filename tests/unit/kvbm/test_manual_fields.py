"""KVBM's manual, its tables: every field, its variable, its default and its bounds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from launcher.kvbm.environment import MANUAL_VARIABLES
from launcher.kvbm.model import (
    effective_blocking_threads,
    effective_rayon_threads,
)
from tests.support.kvbm import CPUS, ETCD, at, error, nested, problems, told, warnings

if TYPE_CHECKING:
    from launcher.config.problems import TomlValue

# Field, a value, its variable ("-" where the manual has none), the default.
ROWS: list[tuple[str, TomlValue, str, TomlValue]] = [
    ("tokio.worker_threads", 4, "KVBM_TOKIO_WORKER_THREADS", 1),
    ("tokio.max_blocking_threads", 64, "KVBM_TOKIO_MAX_BLOCKING_THREADS", None),
    ("rayon.num_threads", 3, "KVBM_RAYON_NUM_THREADS", None),
    ("nova.backend.tcp_port", 9090, "KVBM_NOVA_BACKEND_TCP_PORT", 0),
    ("nova.backend.tcp_addr", "10.0.0.1", "KVBM_NOVA_BACKEND_TCP_ADDR", None),
    ("nova.backend.tcp_interface", "eth0", "KVBM_NOVA_BACKEND_TCP_INTERFACE", None),
    ("cache.host.cache_size_gb", 4.5, "KVBM_CACHE_HOST_SIZE_GB", None),
    ("cache.host.num_blocks", 1000, "KVBM_CACHE_HOST_NUM_BLOCKS", None),
    ("cache.disk.cache_size_gb", 8.5, "KVBM_CACHE_DISK_SIZE_GB", None),
    ("cache.disk.num_blocks", 5000, "KVBM_CACHE_DISK_NUM_BLOCKS", None),
    ("cache.disk.use_gds", True, "-", False),
    ("cache.disk.storage_path", "/mnt/nvme", "-", None),
    ("offload.g1_to_g2.policies", ["pass_all"], "-", ["presence"]),
    ("offload.g2_to_g3.policies", ["presence"], "-", ["presence_lfu"]),
    ("offload.g2_to_g3.presence_lfu.min_lfu_count", 16, "-", 8),
]


def field_ids(rows: list[tuple[str, TomlValue, str, TomlValue]]) -> list[str]:
    return [path for path, *_ in rows]


# The tables of fields.


@pytest.mark.parametrize(("path", "value", "_variable", "_default"), ROWS, ids=field_ids(ROWS))
def test_field_in_json_is_read(
    path: str, value: TomlValue, _variable: str, _default: TomlValue
) -> None:
    assert at(told(nested(path, value)), path) == value


@pytest.mark.parametrize(("path", "_value", "_variable", "default"), ROWS, ids=field_ids(ROWS))
def test_field_without_setting_has_the_default(
    path: str, _value: TomlValue, _variable: str, default: TomlValue
) -> None:
    assert at(told({"cache": {"disk": {}}}), path) == default


@pytest.mark.parametrize(
    ("path", "value", "variable", "_default"),
    [row for row in ROWS if row[2] != "-"],
    ids=field_ids([row for row in ROWS if row[2] != "-"]),
)
def test_field_in_its_variable_is_read(
    path: str, value: TomlValue, variable: str, _default: TomlValue
) -> None:
    assert at(told(env={variable: str(value)}), path) == value


def test_variable_table_is_complete() -> None:
    in_manual = {variable: path for path, _, variable, _ in ROWS if variable != "-"}
    assert {each.name: ".".join(each.path) for each in MANUAL_VARIABLES} == in_manual


def test_max_blocking_threads_default_is_512() -> None:
    assert effective_blocking_threads(told()) == 512


def test_rayon_default_is_the_cpu_count() -> None:
    assert effective_rayon_threads(told(), 24) == 24


def test_tcp_port_0_is_left_to_the_system() -> None:
    assert told().nova.backend.bind_address() == ("0.0.0.0", 0)  # noqa: S104


def test_note_tcp_addr_and_tcp_interface_are_mutually_exclusive() -> None:
    file = '[nova.backend]\ntcp_addr = "10.0.0.1"\ntcp_interface = "eth0"'
    assert "mutually exclusive" in error(None, file).message


def test_note_neither_address_nor_interface_binds_to_any() -> None:
    address = told().nova.backend.bind_address()
    assert address is not None
    assert address[0] == "0.0.0.0"  # noqa: S104


# Validation, at both bounds.

BOUNDS: list[tuple[str, TomlValue, bool]] = [
    ("tokio.worker_threads", 0, False),
    ("tokio.worker_threads", 1, True),
    ("tokio.worker_threads", CPUS, True),
    ("tokio.worker_threads", CPUS + 1, False),
    ("tokio.max_blocking_threads", 0, False),
    ("tokio.max_blocking_threads", 1, True),
    ("rayon.num_threads", 0, False),
    ("rayon.num_threads", 1, True),
    ("offload.g2_to_g3.presence_lfu.min_lfu_count", 0, False),
    ("offload.g2_to_g3.presence_lfu.min_lfu_count", 1, True),
    ("offload.g1_to_g2.presence_lfu.min_lfu_count", 0, False),
    ("offload.g1_to_g2.presence_lfu.min_lfu_count", 1, True),
    ("nova.discovery.etcd.ttl_secs", 9, False),
    ("nova.discovery.etcd.ttl_secs", 10, True),
    ("nova.discovery.etcd.ttl_secs", 600, True),
    ("nova.discovery.etcd.ttl_secs", 601, False),
    ("nova.discovery.etcd.max_retries", -1, False),
    ("nova.discovery.etcd.max_retries", 0, True),
    ("nova.discovery.etcd.max_retries", 10, True),
    ("nova.discovery.etcd.max_retries", 11, False),
]


@pytest.mark.parametrize(
    ("path", "value", "fits"), BOUNDS, ids=[f"{path}={value}" for path, value, _ in BOUNDS]
)
def test_constraint_holds_at_its_bounds(path: str, value: TomlValue, fits: bool) -> None:
    file = ETCD if "etcd" in path else ""
    if fits:
        told(nested(path, value), file)
    else:
        found = error(nested(path, value), file)
        assert found.path == tuple(path.split("."))
        assert found.origin is not None
        assert found.origin.name == "kv_connector_extra_config"


def test_everything_is_validated_on_load() -> None:
    data = {"rayon": {"num_threads": 0}, "tokio": {"worker_threads": 0, "max_blocking_threads": 0}}
    assert len(problems(data)) == 3


def test_config_path_variable_is_known() -> None:
    env = {"KVBM_CONFIG_PATH": os.devnull, "KVBM_CACHE_HOST_SIZE_GB": "1"}
    assert warnings(env=env) == []
