from __future__ import annotations

import json
from typing import TYPE_CHECKING

import tomli

from launcher.config.report import Locator
from launcher.kvbm.layers import find_value, stack
from launcher.kvbm.render import (
    TomlWriter,
    as_data,
    effective_values,
    find_origins,
    render_json,
    toml_value,
)
from tests.support.kvbm import CPUS, layers, told

if TYPE_CHECKING:
    from launcher.config.problems import TomlValue
    from launcher.kvbm.model import KvbmConfig

EVERYTHING = {
    "nova": {"discovery": {"etcd": {"cluster_id": "c", "endpoints": ["http://u:pw@e:1"]}}},
    "cache": {"host": {"cache_size_gb": 4}, "disk": {"storage_path": 'a "b" \\ ü'}},
    "object": {"client": {"type": "s3", "endpoint_url": "http://u:pw@m:1"}},
    "nixl": {"backends": {"GDS": {"threads": "4"}}},
}


def as_toml(config: KvbmConfig, *prefix: str) -> str:
    return TomlWriter(effective=effective_values(config, CPUS)).write(as_data(config), prefix)


def test_written_data_is_tagged_and_has_all_defaults() -> None:
    data = as_data(told(EVERYTHING))
    assert find_value(data, ("nova", "discovery")) == {
        "type": "etcd",
        "cluster_id": "c",
        "endpoints": ["http://u:pw@e:1"],
        "ttl_secs": 60,
        "operation_timeout_secs": 30,
        "max_retries": 3,
    }
    assert find_value(data, ("object", "client", "type")) == "s3"


def test_secrets_are_masked_in_json_and_toml() -> None:
    config = told(EVERYTHING)
    for text in (render_json(as_data(config)), as_toml(config)):
        assert "pw" not in text
        assert "http://***@m:1" in text


def test_toml_loads_to_the_same_values() -> None:
    plain = told({key: EVERYTHING[key] for key in ("cache", "nixl")})
    assert told(None, as_toml(plain)) == plain


def test_toml_with_a_role_is_in_its_section() -> None:
    text = as_toml(told(EVERYTHING), "leader")
    assert list(tomli.loads(text)) == ["leader"]


def test_toml_of_null_threads_says_the_effective_number() -> None:
    config = told({"tokio": {"worker_threads": None}})
    assert f"worker_threads = {CPUS}  # one per CPU" in as_toml(config)


def test_toml_of_nixl_off_has_no_backends() -> None:
    text = as_toml(told({"nixl": None}), "worker")
    assert tomli.loads(text)["worker"]["nixl"] == {"backends": {}}


def test_toml_names_what_is_off_and_what_is_unset() -> None:
    text = as_toml(told())
    assert "# [cache.disk] is off" in text
    assert "# max_blocking_threads is not set: 512" in text


def test_toml_value_writes_what_toml_reads() -> None:
    values: tuple[TomlValue, ...] = (True, 3, 1.5, 'q"\\\n\x7fü', ["a", 1], {"a b": {"c": []}})
    for value in values:
        assert tomli.loads(f"x = {toml_value(value)}")["x"] == value


def test_origins_name_file_variable_json_and_default() -> None:
    data = {"leader": {"rayon": {"num_threads": 2}}}
    found = layers(data, "[tokio]\nworker_threads = 2", env={"KVBM_CACHE_HOST_NUM_BLOCKS": "1"})
    config = told(data, "[tokio]\nworker_threads = 2", env={"KVBM_CACHE_HOST_NUM_BLOCKS": "1"})
    origins = find_origins(as_data(config), stack(found.layers, "leader"), Locator(found.documents))
    assert origins["tokio", "worker_threads"] == "kvbm0.toml:2:1"
    assert origins["cache", "host", "num_blocks"] == "KVBM_CACHE_HOST_NUM_BLOCKS"
    assert origins["rayon", "num_threads"] == "kv_connector_extra_config: leader.rayon.num_threads"
    assert origins["onboard", "mode"] == "default"


def test_every_value_has_an_origin() -> None:
    data = as_data(told(EVERYTHING))
    found = layers(EVERYTHING)
    origins = find_origins(data, stack(found.layers, None), Locator(found.documents))
    assert json.loads(json.dumps(data)) == data
    assert all(find_value(data, path) is not None or path for path in origins)
    assert len(origins) > 30
