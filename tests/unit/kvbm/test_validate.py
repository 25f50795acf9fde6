from __future__ import annotations

import pytest

from launcher.config.secrets import holds_secret, mask_urls
from tests.support.kvbm import error, problems, warnings

CHURN = "the disk cache is smaller than the host cache, so it only churns"
NO_FILES = "the disk cache needs a backend that moves files, and the workers have none"


def cache(host: object, disk: object) -> dict[str, object]:
    return {"cache": {"host": host, "disk": disk}}


def test_no_tier_enabled_is_a_warning() -> None:
    (problem,) = problems()
    assert problem.message == "no cache tier has a size, so KVBM keeps nothing"
    assert problem.hint == "set cache.host.cache_size_gb"


@pytest.mark.parametrize(
    "data",
    [
        {"cache": {"host": {"num_blocks": 1}}},
        {"cache": {"disk": {"num_blocks": 1}}},
        {"object": {"client": {"type": "s3"}}},
        {"leader": {"cache": {"host": {"cache_size_gb": 0}}}},
    ],
)
def test_any_tier_enabled_is_quiet(data: object) -> None:
    assert warnings(data) == []


@pytest.mark.parametrize("backends", [{"UCX": {}}, {}])
def test_disk_without_a_file_backend_is_a_warning(backends: object) -> None:
    data = {
        "leader": {"cache": {"disk": {"num_blocks": 1}}},
        "worker": {"nixl": {"backends": backends}},
    }
    assert warnings(data) == [NO_FILES]


def test_disk_with_nixl_off_is_a_warning() -> None:
    assert warnings({"cache": {"disk": {"num_blocks": 1}}, "worker": {"nixl": None}}) == [NO_FILES]


@pytest.mark.parametrize("name", ["POSIX", "GDS", "GDS_MT", "posix"])
def test_disk_with_a_file_backend_is_quiet(name: str) -> None:
    data = {"cache": {"disk": {"num_blocks": 1}}, "worker": {"nixl": {"backends": {name: {}}}}}
    assert warnings(data) == []


@pytest.mark.parametrize("key", ["num_blocks", "cache_size_gb"])
def test_disk_smaller_than_host_is_a_warning(key: str) -> None:
    assert warnings(cache({key: 3}, {key: 2})) == [CHURN]
    assert warnings(cache({key: 3}, {key: 3})) == []


def test_sizes_in_different_units_are_not_compared() -> None:
    assert warnings(cache({"num_blocks": 3}, {"cache_size_gb": 2})) == []


def test_list_of_backends_says_what_to_write() -> None:
    found = error({"default": {"nixl": {"backends": ["UCX", "POSIX"]}}})
    assert found.message == "expected a table of backends, got an array"
    assert "UCX = {}" in found.hint


def test_equal_fixed_ports_are_a_warning() -> None:
    data = {
        "default": {"nova": {"backend": {"tcp_port": 7000}}},
        "cache": {"host": {"num_blocks": 1}},
    }
    assert warnings(data) == ["leader and workers would all listen on port 7000"]


def test_fixed_port_for_one_role_is_quiet() -> None:
    data = {
        "leader": {"nova": {"backend": {"tcp_port": 7000}}},
        "cache": {"host": {"num_blocks": 1}},
    }
    assert warnings(data) == []


@pytest.mark.parametrize("value", [-1, -0.5])
def test_negative_size_is_refused(value: float) -> None:
    assert "0 or more" in error(cache({"cache_size_gb": value}, None)).message


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_size_that_is_not_finite_is_refused(text: str) -> None:
    assert "0 or more" in error(None, f"[cache.host]\ncache_size_gb = {text}").message


@pytest.mark.parametrize("value", [True, "4", 4.0, [4]])
def test_integer_field_takes_integers_only(value: object) -> None:
    assert error({"rayon": {"num_threads": value}}).message.startswith("expected an integer")


def test_hint_for_one_cpu_is_in_the_singular() -> None:
    assert error({"tokio": {"worker_threads": 2}}, cpus=1).hint == "this machine has 1 CPU"


@pytest.mark.parametrize(
    "data",
    [
        {"object": {"client": {"type": "s3", "endpoint_url": "http://u:pw@m:1"}}},
        {
            "nova": {
                "discovery": {"type": "etcd", "cluster_id": "c", "endpoints": ["http://u:pw@e"]}
            }
        },
        {
            "nova": {
                "discovery": {"type": "p2p", "cluster_id": "c", "bootstrap_peers": ["tcp://u:pw@e"]}
            }
        },
    ],
)
def test_secret_in_a_url_is_a_warning(data: object) -> None:
    found = [p for p in problems(data) if p.message.startswith("this URL holds a secret")]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://minio:9000/x", "http://minio:9000/x"),
        ("http://user:pass@minio:9000", "http://***@minio:9000"),
        ("http://a@b:c@minio", "http://***@minio"),
        ("https://s3/x?X-Amz-Signature=abc&y=1", "https://s3/x?X-Amz-Signature=***&y=1"),
        ("https://s3/x?token=abc", "https://s3/x?token=***"),
    ],
)
def test_mask_urls_hides_secrets_only(url: str, shown: str) -> None:
    assert mask_urls(url) == shown
    assert holds_secret(url) == (url != shown)
