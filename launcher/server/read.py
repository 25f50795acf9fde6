"""From the merged tree to a `LauncherConfig`: the only place that knows the tables' names.

Whatever is wrong becomes a problem of the result; reading never stops at the first one.
"""

from __future__ import annotations

from launcher.config.layers import layer, overlay
from launcher.config.problems import dotted, type_name
from launcher.config.reader import (
    Problems,
    Refusal,
    defaults,
    read_keys,
    read_table,
)
from launcher.server.keys import CLIENT_KEYS, CONTROL_KEYS, MASTER_KEYS
from launcher.server.model import (
    INSTANCE_TABLES,
    SHARED_TABLES,
    TOP_LEVEL_TABLES,
    ClientConfig,
    ControlConfig,
    EnvSetting,
    Instance,
    LauncherConfig,
    MasterConfig,
    ServerOption,
)
from launcher.server.presets import PRESETS
from launcher.server.spelling import fold_documents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.document import Document
    from launcher.config.problems import Path, TomlValue
    from launcher.server.cluster import Cluster

EXTRA_ARGS = "extra_args"


def read_config(documents: tuple[Document, ...]) -> LauncherConfig:
    """Merge documents (lowest first) and read the result. Problems are in the returned value."""
    folded, spelling_problems = fold_documents(documents)
    tree = layer(folded)
    problems = Problems(tree)
    problems.found.extend(spelling_problems)
    for name in tree.data:
        if name not in TOP_LEVEL_TABLES:
            problems.unknown((name,), TOP_LEVEL_TABLES)
    master = _read_master(tree.data.get("master", {}), problems)
    instances = _read_instances(tree.data.get("instance", {}), problems)
    client = _read_client(tree.data.get("client", {}), problems)
    return LauncherConfig(
        master=master,
        instances=instances,
        tree=tree,
        client=client,
        problems=tuple(problems.found),
    )


def _read_master(value: TomlValue, problems: Problems) -> MasterConfig:
    path = ("master",)
    table = read_table(value, path, problems)
    env = _read_env(table.get("env", {}), (*path, "env"), problems)
    read = read_keys(table, path, MASTER_KEYS, problems, tables=("env",))
    values = {**defaults(MASTER_KEYS), **read}
    module = str(values["api_server_module"])
    if not all(part.isidentifier() for part in module.split(".")):
        message = f"expected a module name, got '{module}'"
        problems.add((*path, "api_server_module"), message, "write it like package.module")
    return MasterConfig(**values, env=env)  # type: ignore[arg-type]


def _read_client(value: TomlValue, problems: Problems) -> ClientConfig:
    table = read_table(value, ("client",), problems)
    read = read_keys(table, ("client",), CLIENT_KEYS, problems)
    return ClientConfig(**{**defaults(CLIENT_KEYS), **read})  # type: ignore[arg-type]


def _read_instances(value: TomlValue, problems: Problems) -> tuple[Instance, ...]:
    path = ("instance",)
    table = read_table(value, path, problems)
    control = _read_control(table.get("control", {}), (*path, "control"), problems)
    server = read_table(table.get("server", {}), (*path, "server"), problems)
    shared_args = _read_extra_args(server, (*path, "server"), problems)
    shared = _Shared(control, server, shared_args)
    return tuple(
        _read_instance(name, inner, shared, problems)
        for name, inner in table.items()
        if name not in SHARED_TABLES
        and _is_instance_name(name, problems)
        and _is_instance_table(inner, (*path, name), problems)
    )


class _Shared:
    """What `[instance.control]` and `[instance.server]` say for all instances."""

    def __init__(
        self,
        control: dict[str, object],
        server: Mapping[str, TomlValue],
        extra_args: tuple[str, ...],
    ) -> None:
        self.control = control
        self.server = server
        self.extra_args = extra_args


def _is_instance_name(name: str, problems: Problems) -> bool:
    path = ("instance", name)
    if name in INSTANCE_TABLES:
        message = f"[instance.{name}] would be an instance called '{name}'"
        where = "[master.env]" if name == "env" else f"[{name}]"
        hint = f"write {where} to set it for all instances"
        if name == "cluster":
            hint = "write [instance.NAME.cluster], for each instance that spans machines"
        problems.add(path, message, hint, at_key=True)
        return False
    first = name[:1]
    if not (first.isascii() and first.isalnum()) or not all(
        c.isascii() and (c.isalnum() or c in "._-") for c in name
    ):
        message = f"'{name}' cannot name an instance"
        hint = "use letters, digits, '.', '_' and '-', beginning with a letter or digit"
        problems.add(path, message, hint, at_key=True)
        return False
    return True


def _read_instance(name: str, value: TomlValue, shared: _Shared, problems: Problems) -> Instance:
    path = ("instance", name)
    table: Mapping[str, TomlValue] = value if isinstance(value, dict) else {}
    for key, inner in table.items():
        if key not in INSTANCE_TABLES:
            _note_misplaced((*path, key), inner, problems)
    own_control = _read_control(table.get("control", {}), (*path, "control"), problems)
    own_server = read_table(table.get("server", {}), (*path, "server"), problems)
    own_args = _read_extra_args(own_server, (*path, "server"), problems)
    control = {**defaults(CONTROL_KEYS), **shared.control, **own_control}
    paths: dict[str, Path] = {key: ("instance", "control", key) for key in shared.control}
    paths.update({key: (*path, "control", key) for key in own_control})
    in_own = EXTRA_ARGS in own_server
    return Instance(
        name=name,
        control=ControlConfig(**control),  # type: ignore[arg-type]
        control_paths=paths,
        options=(
            *_preset_options(control["preset"], paths, shared.server, own_server),
            *_options(path, shared.server, own_server),
        ),
        extra_args=shared.extra_args + own_args,
        extra_args_path=(*path, "server", EXTRA_ARGS)
        if in_own
        else ("instance", "server", EXTRA_ARGS),
        env=_read_env(table.get("env", {}), (*path, "env"), problems),
        cluster=_read_cluster(table, (*path, "cluster"), problems),
    )


def _read_cluster(table: Mapping[str, TomlValue], path: Path, problems: Problems) -> Cluster | None:
    if "cluster" not in table:
        return None
    from launcher.server.cluster import read_cluster  # noqa: PLC0415  (few have one)

    return read_cluster(table["cluster"], path, problems)


def _note_misplaced(path: Path, value: TomlValue, problems: Problems) -> None:
    """Note a key of an instance that is none of its tables; most often it is a table too high."""
    # Imported only for a user who made a mistake: difflib is not for free.
    from launcher.config.suggest import find_nearest  # noqa: PLC0415

    key = str(path[-1])
    hint = ""
    if not isinstance(value, dict) and not find_nearest(key, INSTANCE_TABLES):
        table = "control" if key in {each.name for each in CONTROL_KEYS} else "server"
        hint = f"move it into [{dotted(path[:-1])}.{table}]"
    problems.unknown(path, INSTANCE_TABLES, hint)


def _is_instance_table(value: TomlValue, path: Path, problems: Problems) -> bool:
    if isinstance(value, dict):
        return True
    message = f"expected a table, the settings of one instance, got {type_name(value)}"
    # Somebody who writes `port = 8000` below [instance] does not want an instance called 'port'.
    problems.add(path, message, f"write {dotted(path[1:])} in [instance.server] or "
                 "[instance.NAME.server]")  # fmt: skip
    return False


def _read_control(value: TomlValue, path: Path, problems: Problems) -> dict[str, object]:
    return read_keys(read_table(value, path, problems), path, CONTROL_KEYS, problems)


def _options(
    path: Path, shared: Mapping[str, TomlValue], own: Mapping[str, TomlValue]
) -> tuple[ServerOption, ...]:
    return tuple(
        ServerOption(
            name=name,
            value=value,
            path=(*path, "server", name) if name in own else ("instance", "server", name),
        )
        for name, value in overlay(shared, own).items()
        if name != EXTRA_ARGS
    )


def _preset_options(
    preset: object,
    paths: Mapping[str, Path],
    shared: Mapping[str, TomlValue],
    own: Mapping[str, TomlValue],
) -> tuple[ServerOption, ...]:
    """Return what the preset sets and the user does not."""
    if not isinstance(preset, str):
        return ()
    return tuple(
        ServerOption(name=name, value=value, path=paths["preset"], preset=preset)
        for name, value in PRESETS[preset].items()
        if name not in own and name not in shared
    )


def _read_extra_args(
    server: Mapping[str, TomlValue], path: Path, problems: Problems
) -> tuple[str, ...]:
    value = server.get(EXTRA_ARGS, [])
    place = (*path, EXTRA_ARGS)
    hint = 'write each word apart, like ["--max-num-seqs", "8"]'
    if not isinstance(value, list):
        problems.add(place, f"expected an array of strings, got {type_name(value)}", hint)
        return ()
    words = []
    for position, item in enumerate(value):
        try:
            words.append(_word(item))
        except Refusal as refusal:
            problems.add((*place, position), refusal.message, refusal.hint)
    return tuple(words)


def _word(item: TomlValue) -> str:
    if not isinstance(item, str):
        hint = "put it in quotes" if isinstance(item, int | float) else ""
        message = f"expected an array of strings, got {type_name(item)} in it"
        raise Refusal(message, hint or "write each word apart, as a string")
    return _without_nul(item)


def _read_env(value: TomlValue, path: Path, problems: Problems) -> tuple[EnvSetting, ...]:
    settings = []
    for name, inner in read_table(value, path, problems).items():
        place = (*path, name)
        if not (name.isascii() and name.isidentifier()):
            message = f"'{name}' cannot name an environment variable"
            hint = "use letters, digits and '_', not beginning with a digit"
            problems.add(place, message, hint, at_key=True)
            continue
        try:
            settings.append(EnvSetting(name=name, value=_env_value(inner), path=place))
        except Refusal as refusal:
            problems.add(place, refusal.message, refusal.hint)
    return tuple(settings)


def _env_value(value: TomlValue) -> str:
    if isinstance(value, bool):
        word = "1" if value else "0"
        raise Refusal("expected a string, got a boolean", f'write "{word}", which vLLM reads so')
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        hint = "write JSON into a string" if isinstance(value, list | dict) else "put it in quotes"
        raise Refusal(f"expected a string, got {type_name(value)}", hint)
    return _without_nul(value)


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise Refusal("a NUL character cannot be passed to a program", "remove the NUL character")
    return text
