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
class Activation:
    """What a manifest does at the activation of an environment; later settings win."""

    scripts: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


@record
class Manifest:
    """The tasks of an environment, and what its activation does."""

    tasks: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()
    activation: Activation = Activation()


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
        activation=_activation([_table(part, "activation") for part in parts]),
    )


def _activation(tables: list[Table]) -> Activation:
    scripts = [table.get("scripts") for table in tables]
    variables = {
        name: value
        for table in tables
        for name, value in _table(table, "env").items()
        if isinstance(value, str) and name.isidentifier()
    }
    return Activation(
        scripts=tuple(
            each for found in scripts if isinstance(found, list) for each in found
            if isinstance(each, str)
        ),
        variables=tuple(variables.items()),
    )  # fmt: skip


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
