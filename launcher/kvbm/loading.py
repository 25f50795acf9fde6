"""Load a KVBM configuration: the module that opens files, asks for the CPUs, and calls the rest.

from launcher.kvbm import load

leader = load("leader", overrides={"cache": {"host": {"cache_size_gb": 4.0}}})
leader.cache.host.cache_size_gb  # 4.0
"""

from __future__ import annotations

import os

from launcher.config.document import Document, decode_toml
from launcher.config.limits import LARGEST_FILE, require_sane, require_small
from launcher.config.overrides import parse_overrides
from launcher.config.problems import WARNING, Origin, Problem, errors_of
from launcher.errors import ConfigError
from launcher.kvbm.environment import CONFIG_PATH
from launcher.kvbm.resolve import KvbmFacts, collect_layers, resolve_role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import TomlValue
    from launcher.kvbm.model import KvbmConfig

SYSTEM_CONFIG = "/opt/dynamo/etc/kvbm.toml"
JSON_NAME = "kv_connector_extra_config"
EXAMPLE = '{"leader": {"cache": {"host": {"cache_size_gb": 4.0}}}}'


def load(
    role: str | None = None,
    overrides: str | Mapping[str, TomlValue] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cpu_count: int | None = None,
    strict: bool = False,
) -> KvbmConfig:
    """Load the configuration of a role from files, variables and JSON.

    Args:
        role: "leader", "worker", or None for what both share.
        overrides: the highest layer, a JSON object as text or as a mapping: vLLM's
            `kv_connector_extra_config`, with or without the sections `default`, `leader`,
            `worker`.
        environ: the environment; that of this process if not given.
        cpu_count: the largest number of Tokio threads; that of this machine if not given.
        strict: refuse unknown keys and variables instead of ignoring them.

    Raises:
        ConfigError: anything is wrong; holds every problem found.
    """
    facts = gather_facts(os.environ if environ is None else environ, cpu_count=cpu_count)
    documents = () if overrides is None else (read_overrides(overrides),)
    layers = collect_layers(facts, documents, strict=strict)
    loaded = resolve_role(layers, role, facts.cpu_count, strict=strict)
    problems = tuple(dict.fromkeys((*layers.problems, *loaded.problems)))
    if errors_of(problems):
        raise ConfigError(problems, layers.documents)
    return loaded.config


def read_overrides(overrides: str | Mapping[str, TomlValue], name: str = JSON_NAME) -> Document:
    """Return the document of a JSON object, given as text or as a mapping.

    Raises:
        ConfigError: the text is not a JSON object, or holds what no document may hold.
    """
    if isinstance(overrides, str):
        return parse_overrides(overrides, name, EXAMPLE)
    origin = Origin(kind="override", name=name)
    require_sane(overrides, origin)
    return Document(origin=origin, text="", data=overrides)


def gather_facts(
    environ: Mapping[str, str],
    *,
    cpu_count: int | None = None,
    system_config: str = SYSTEM_CONFIG,
) -> KvbmFacts:
    """Read what this machine says: the two files, the CPUs; and keep the environment.

    Raises:
        ConfigError: a file is there and cannot be read, or is not TOML.
    """
    problems: list[Problem] = []
    files = [_read_file(system_config, problems, named=False)]
    wanted = environ.get(CONFIG_PATH, "").strip()
    if wanted:
        files.append(_read_file(find_upwards(wanted, os.getcwd()), problems, named=True))
    return KvbmFacts(
        cpu_count=count_cpus() if cpu_count is None else cpu_count,
        environ={name: value for name, value in environ.items() if name.upper()[:5] == "KVBM_"},
        files=tuple(file for file in files if file is not None),
        problems=tuple(problems),
    )


def find_upwards(path: str, directory: str) -> str:
    """Return a relative path as found in a directory or the nearest one above; else unchanged."""
    if os.path.isabs(path) or os.path.isfile(os.path.join(directory, path)):
        return path
    here = directory
    while True:
        candidate = os.path.join(here, path)
        if os.path.isfile(candidate):
            return candidate
        above = os.path.dirname(here)
        if above == here:
            return path
        here = above


def read_file(path: str) -> Document:
    """Read a TOML file.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    origin = Origin(kind="file", name=path)
    try:
        with open(path, "rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        # ValueError: a path with a NUL character.
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        message = f"cannot be read: {reason[:1].lower()}{reason[1:]}"
        hint = "correct the path, or mount the file there, readable for this user"
        raise ConfigError((Problem(message=message, hint=hint, origin=origin),)) from None
    require_small(raw, origin)
    return decode_toml(raw, origin)


def _read_file(path: str, problems: list[Problem], *, named: bool) -> Document | None:
    if os.path.isfile(path):
        return read_file(path)
    if named:
        found = "is a directory" if os.path.isdir(path) else "is missing"
        problems.append(
            Problem(
                message=f"the file '{path}' {found}, so KVBM goes without it",
                hint=f"mend the path, or unset {CONFIG_PATH}",
                severity=WARNING,
                origin=Origin(kind="environment", name=CONFIG_PATH),
            )
        )
    return None


def count_cpus(root: str = "") -> int:
    """Return how many CPUs this process may use, as KVBM counts: affinity, then cgroup quota.

    Args:
        root: where `/proc` and `/sys` are looked for (tests).
    """
    allowed = len(os.sched_getaffinity(0))
    quotas = [quota for quota in (_quota_v2(root), _quota_v1(root)) if quota is not None]
    return max(1, min([allowed, *quotas]))


def _quota_v2(root: str) -> int | None:
    """Return the smallest `cpu.max` of this process's cgroup and those above it, in CPUs."""
    quotas = []
    group = _cgroup_of_self(root)
    while True:
        fields = _first_line(f"{root}/sys/fs/cgroup{group}/cpu.max").split()
        if len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit():  # noqa: PLR2004
            quotas.append(int(fields[0]) // max(1, int(fields[1])))
        if not group:
            return min(quotas, default=None)
        group = group.rpartition("/")[0]


def _cgroup_of_self(root: str) -> str:
    try:
        with open(f"{root}/proc/self/cgroup", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    own = next((line[3:] for line in lines if line.startswith("0::")), "")
    return own.rstrip("/")


def _quota_v1(root: str) -> int | None:
    quota = _first_line(f"{root}/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    period = _first_line(f"{root}/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(quota) > 0:
        return int(quota) // max(1, int(period))
    return None


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""
