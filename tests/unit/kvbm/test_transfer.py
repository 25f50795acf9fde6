from __future__ import annotations

import json

import pytest

from launcher.kvbm.layers import find_value
from launcher.kvbm.render import render_flag_value
from launcher.kvbm.transfer import render_multi, render_sections, render_transfer
from tests.support.kvbm import layers, told

EXAMPLE = {
    "leader": {
        "cache": {"host": {"cache_size_gb": 4.0}},
        "nova": {"discovery": {"type": "filesystem", "path": "/srv/cluster.json"}},
        "object": {"client": {"type": "s3", "bucket": "b"}},
    },
    "worker": {"nixl": {"backends": {"UCX": {}}}},
    "default": {"nova": {"backend": {"tcp_port": 0}}},
}


def test_three_sections_are_handed_over_as_given() -> None:
    assert render_sections(layers(EXAMPLE)) == EXAMPLE


def test_no_settings_still_give_three_sections() -> None:
    assert render_sections(layers()) == {"default": {}, "leader": {}, "worker": {}}


def test_flat_settings_files_and_variables_go_to_default() -> None:
    env = {"KVBM_TOKIO_WORKER_THREADS": "2"}
    sections = render_sections(layers({"rayon": {"num_threads": 3}}, "[cache.disk]", env=env))
    assert sections["default"] == {
        "cache": {"disk": {}},
        "tokio": {"worker_threads": 2},
        "rayon": {"num_threads": 3},
    }


def test_nested_discovery_is_handed_over_tagged() -> None:
    sections = render_sections(layers(None, '[leader.nova.discovery.etcd]\ncluster_id = "c"'))
    expected = {"nova": {"discovery": {"type": "etcd", "cluster_id": "c"}}}
    assert sections["leader"] == expected


def test_null_is_handed_over() -> None:
    assert render_sections(layers({"leader": {"nixl": None}}))["leader"] == {"nixl": None}


@pytest.mark.parametrize("section", ["default", "leader"])
def test_missing_bucket_is_named_where_the_type_is(section: str) -> None:
    sections = render_sections(layers({section: {"object": {"client": {"type": "s3"}}}}))
    assert find_value(sections, (section, "object", "client", "bucket")) == "kvbm-blocks"


def test_bucket_from_the_default_section_is_not_hidden() -> None:
    data = {
        "default": {"object": {"client": {"type": "s3", "bucket": "mine"}}},
        "leader": {"object": {"client": {"type": "s3"}}},
    }
    sections = render_sections(layers(data))
    assert find_value(sections, ("leader", "object", "client", "bucket")) is None


def test_changed_type_does_not_leak_fields_to_a_plain_merge() -> None:
    data = {
        "default": {
            "object": {"client": {"type": "s3", "endpoint_url": "http://a", "bucket": "b"}}
        },
        "leader": {"object": {"client": {"type": "nixl", "backend": "s3"}}},
    }
    client = find_value(render_sections(layers(data)), ("leader", "object", "client"))
    assert client == {
        "type": "nixl",
        "backend": "s3",
        "endpoint_url": None,
        "bucket": "kvbm-blocks",
    }


def test_type_changed_twice_does_not_leak_fields_either() -> None:
    file = """
        [object.client]
        type = "s3"
        region = "below"
        [leader.object.client]
        type = "nixl"
        backend = "s3"
    """
    data = {"leader": {"object": {"client": {"type": "s3"}}}}
    sections = render_sections(layers(data, file))
    assert find_value(sections, ("leader", "object", "client", "region")) == "us-east-1"


@pytest.mark.parametrize("role", ["leader", "worker"])
def test_sections_say_what_the_layers_say(role: str) -> None:
    file = '[nova.discovery.p2p]\ncluster_id = "c"\n[worker.tokio]\nworker_threads = 3'
    env = {"KVBM_CACHE_HOST_SIZE_GB": "2.5"}
    sections = render_sections(layers(EXAMPLE, file, env=env))
    assert told(sections, role=role) == told(EXAMPLE, file, role=role, env=env)


def test_unknown_values_that_json_lacks_are_left_out() -> None:
    file = "[events]\nday = 2026-01-01\nlist = [nan, 1]\nkept = 1"
    assert render_sections(layers(None, file))["default"] == {"events": {"list": [1], "kept": 1}}


def test_transfer_has_the_connector_of_the_manual_by_default() -> None:
    assert render_transfer({}, {}) == {
        "kv_connector": "DynamoConnector",
        "kv_connector_module_path": "kvbm.v2.vllm.connector",
        "kv_role": "kv_both",
        "kv_connector_extra_config": {},
    }


def test_transfer_takes_every_setting() -> None:
    settings = {
        "kv_connector": "KvbmConnector",
        "kv_connector_module_path": "kvbm.vllm.connector",
        "kv_role": "kv_producer",
        "kv_load_failure_policy": "recompute",
        "kv_buffer_device": "cpu",
        "kv_port": 1,
        "engine_id": "e",
        "enable_permute_local_kv": True,
    }
    assert render_transfer(settings, {}) == {**settings, "kv_connector_extra_config": {}}


def test_multi_holds_kvbm_and_the_other_connector() -> None:
    kvbm, other = render_transfer({}, {}), {"kv_connector": "NixlConnector", "kv_role": "kv_both"}
    made = render_multi(kvbm, other)
    assert made["kv_connector"] == "MultiConnector"
    assert made["kv_role"] == "kv_both"
    assert made["kv_connector_extra_config"] == {"connectors": [kvbm, other]}


def test_multi_in_a_multi_becomes_its_first_child() -> None:
    kvbm = render_transfer({}, {})
    outer = {
        "kv_connector": "MultiConnector",
        "kv_role": "kv_both",
        "kv_connector_extra_config": {"connectors": [{"kv_connector": "A"}], "x": 1},
    }
    made = render_multi(kvbm, outer)  # type: ignore[arg-type]
    extra = {"connectors": [kvbm, {"kv_connector": "A"}], "x": 1}
    assert made == {**outer, "kv_connector_extra_config": extra}


def test_flag_value_has_no_spaces_and_is_json() -> None:
    value = render_transfer({}, render_sections(layers(EXAMPLE)))
    text = render_flag_value(value)
    assert " " not in text
    assert json.loads(text) == value
