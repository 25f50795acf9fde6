"""Short ways to say what KVBM is told: no files, no environment, no CPU count of this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from launcher.config.document import parse_toml
from launcher.config.problems import Origin, errors_of
from launcher.errors import ConfigError
from launcher.kvbm.layers import find_value
from launcher.kvbm.loading import read_overrides
from launcher.kvbm.render import as_data
from launcher.kvbm.resolve import KvbmFacts, Layers, collect_layers, resolve, resolve_role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import Problem, TomlValue
    from launcher.kvbm.model import KvbmConfig

CPUS = 64
ETCD = '[nova.discovery.etcd]\ncluster_id = "my-cluster"\n'
# The manual's complete example, by roles.
EXAMPLE = {
    "leader": {
        "cache": {"host": {"cache_size_gb": 4.0}},
        "tokio": {"worker_threads": 2},
        "nova": {"discovery": {"type": "filesystem", "path": "/srv/discovery/cluster.json"}},
        "offload": {
            "g1_to_g2": {"policies": ["presence"]},
            "g2_to_g3": {"policies": ["presence_lfu"], "presence_lfu": {"min_lfu_count": 8}},
        },
        "object": {
            "client": {
                "type": "s3",
                "endpoint_url": "http://minio:9000",
                "bucket": "kvbm-blocks",
                "region": "us-east-1",
                "force_path_style": True,
                "max_concurrent_requests": 16,
            }
        },
    },
    "worker": {
        "nixl": {"backends": {"UCX": {}, "POSIX": {}}},
        "tokio": {"worker_threads": 1},
        "cache": {"host": {"cache_size_gb": 2.0}},
    },
    "default": {"nova": {"backend": {"tcp_port": 0}}},
}


def facts(*toml: str, env: Mapping[str, str] | None = None, cpus: int = CPUS) -> KvbmFacts:
    """Return the facts of a machine with files of these texts, lowest first."""
    files = tuple(
        parse_toml(text, Origin(kind="file", name=f"kvbm{number}.toml"))
        for number, text in enumerate(toml)
    )
    return KvbmFacts(cpu_count=cpus, environ=env or {}, files=files)


def layers(
    data: object = None,
    *toml: str,
    env: Mapping[str, str] | None = None,
    strict: bool = False,
) -> Layers:
    """Return all layers; `data` is the JSON object, as text or as data."""
    overrides = () if data is None else (read_overrides(_text(data)),)
    return collect_layers(facts(*toml, env=env), overrides, strict=strict)


def _text(data: object) -> str:
    return data if isinstance(data, str) else json.dumps(data)


def told(
    data: object = None,
    *toml: str,
    role: str | None = None,
    env: Mapping[str, str] | None = None,
    cpus: int = CPUS,
) -> KvbmConfig:
    """Return what a role is told.

    Raises:
        ConfigError: there are errors.
    """
    found = layers(data, *toml, env=env)
    result = resolve_role(found, role, cpus)
    problems = (*found.problems, *result.problems)
    if errors_of(problems):
        raise ConfigError(problems)
    return result.config


def problems(
    data: object = None,
    *toml: str,
    env: Mapping[str, str] | None = None,
    cpus: int = CPUS,
    strict: bool = False,
) -> tuple[Problem, ...]:
    """Return the problems of both roles."""
    found = layers(data, *toml, env=env, strict=strict)
    return resolve(found, cpus, strict=strict).problems


def error(
    data: object = None,
    *toml: str,
    env: Mapping[str, str] | None = None,
    cpus: int = CPUS,
    strict: bool = False,
) -> Problem:
    """Return the only error of both roles."""
    (problem,) = errors_of(problems(data, *toml, env=env, cpus=cpus, strict=strict))
    return problem


def warnings(data: object = None, *toml: str, env: Mapping[str, str] | None = None) -> list[str]:
    """Return the messages of all warnings of both roles."""
    found = problems(data, *toml, env=env)
    assert errors_of(found) == ()
    return [problem.message for problem in found]


def nested(path: str, value: TomlValue) -> dict[str, TomlValue]:
    """Return the tables around a value, by its dotted path."""
    for part in reversed(path.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def at(config: KvbmConfig, path: str) -> TomlValue:
    """Return what a configuration says at a dotted path."""
    return find_value(as_data(config), tuple(path.split(".")))
