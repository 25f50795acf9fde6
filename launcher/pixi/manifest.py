"""What a pixi manifest says that changes how a server is started. Pure."""

from __future__ import annotations

import tomli

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.config.problems import TomlValue

    Table = dict[str, TomlValue]

PYPROJECT = "pyproject.toml"
FAMILIES = ("linux", "unix")  # targets that are us: `unix`, `linux`, `linux-64`, ...


@record
class Manifest:
    """The tasks of an environment, and the variables that its activation sets."""

    tasks: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()


def parse_manifest(text: str, name: str, environment: str) -> Manifest:
    """Parse a manifest, `pixi.toml` or `pyproject.toml`, for one of its environments.

    What has not the form that pixi wants is left out: pixi will say so itself.

    Raises:
        tomli.TOMLDecodeError: it is not TOML.
    """
    data: Table = tomli.loads(text)
    if name == PYPROJECT:
        data = _table(_table(data, "tool"), "pixi")
    parts = [part for feature in _features(data, environment) for part in _targets(feature)]
    return Manifest(
        tasks=frozenset(task for part in parts for task in _table(part, "tasks")),
        variables=frozenset(
            variable for part in parts for variable in _table(_table(part, "activation"), "env")
        ),
    )


def _features(data: Table, environment: str) -> Iterator[Table]:
    """Yield the tables that make an environment: the default feature's, then its own features'."""
    wanted = _table(data, "environments").get(environment)
    names = wanted.get("features") if isinstance(wanted, dict) else wanted
    if not isinstance(wanted, dict) or wanted.get("no-default-feature") is not True:
        yield data
    for name in names if isinstance(names, list) else ():
        yield _table(_table(data, "feature"), str(name))


def _targets(feature: Table) -> Iterator[Table]:
    yield feature
    for platform in _table(feature, "target"):
        if platform.split("-")[0] in FAMILIES:
            yield _table(_table(feature, "target"), platform)


def _table(table: Table, key: str) -> Table:
    value = table.get(key)
    return value if isinstance(value, dict) else {}
