"""From the host's file and the environment over it to a `HostConfig`. Pure.

A variable that wins over a key becomes a document of its own with this key in it, above the
file: so precedence is the order of a tuple, and a message can name the variable.
"""

from __future__ import annotations

import ipaddress

from launcher.config.document import Document
from launcher.config.layers import layer
from launcher.config.problems import WARNING, Origin, type_name
from launcher.config.reader import Problems, Refusal, defaults, read_keys, read_table
from launcher.hypervisor.environment import expand_path
from launcher.hypervisor.host.keys import (
    GLOBAL,
    GLOBAL_KEYS,
    GUEST,
    GUEST_KEYS,
    NETWORK,
    NETWORK_KEYS,
    PATH_KEYS,
    RUNTIME_KEYS,
    RUNTIMES,
    TOP_LEVEL_TABLES,
)
from launcher.hypervisor.host.model import (
    GlobalConfig,
    GuestConfig,
    HostConfig,
    NetworkConfig,
    Runtime,
)
from launcher.hypervisor.variables import HOST_VARIABLES
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.layers import Tree
    from launcher.config.problems import Path, Problem, TomlValue

FIRST_HOST = 10  # runtime N has the address 10 + N of the bridge's network
# What the launcher's file has at its top: the two are easily mixed up.
LAUNCHER_TABLES = ("master", "instance", "client", "kvbm")


@record
class Reading:
    """What the host's file and the environment say, and what is wrong with it."""

    config: HostConfig
    tree: Tree
    problems: tuple[Problem, ...]


def environment_documents(environ: Mapping[str, str]) -> tuple[Document, ...]:
    """Return a document for each variable that is set and wins over a key of the file."""
    documents = []
    for variable in HOST_VARIABLES:
        text = environ.get(variable.name, "").strip()
        if variable.key and text:
            table, _, key = variable.key.partition(".")
            origin = Origin(kind="environment", name=variable.name)
            documents.append(Document(origin=origin, text=text, data={table: {key: text}}))
    return tuple(documents)


def read_host(file: Document | None, environ: Mapping[str, str], user: str) -> Reading:
    """Read the host's configuration: environment over file over defaults.

    `user` is who runs this, and `environ` has HOME. Without a file there are no runtimes.
    """
    documents = environment_documents(environ)
    if file is not None:
        documents = (file, *documents)
    tree = layer(documents)
    problems = Problems(tree)
    _find_unknown(tree, problems)
    common = _read_global(tree, environ, user, problems)
    network = _read_network(tree, problems)
    shared = _read_guest(tree.data.get(GUEST, {}), (GUEST,), environ, problems)
    if "config" in shared:
        message = "each runtime has a launcher's file of its own"
        problems.add((GUEST, "config"), message, "move it to [runtimes.guest]")
    runtimes = _Runtimes(environ, common, shared, problems).read(tree.data.get(RUNTIMES, []))
    _check_addresses(runtimes, network, problems)
    _check_taps(runtimes, network, problems)
    config = HostConfig(
        path=file.origin.name if file is not None else "",
        common=common,
        runtimes=tuple(runtimes.values()),
        network=network,
    )
    return Reading(config=config, tree=tree, problems=tuple(problems.found))


def _find_unknown(tree: Tree, problems: Problems) -> None:
    for name in tree.data:
        if name not in TOP_LEVEL_TABLES:
            hint = ""
            if name in LAUNCHER_TABLES:
                hint = "this table belongs into the launcher's file, the one of 'vllmd run'"
            problems.unknown((name,), TOP_LEVEL_TABLES, hint)


def _read_global(
    tree: Tree, environ: Mapping[str, str], user: str, problems: Problems
) -> GlobalConfig:
    table = read_table(tree.data.get(GLOBAL, {}), (GLOBAL,), problems)
    read = read_keys(table, (GLOBAL,), GLOBAL_KEYS, problems)
    values = {**defaults(GLOBAL_KEYS), "user": user, **read}
    _expand(values, (GLOBAL,), environ, problems)
    return GlobalConfig(**values)  # type: ignore[arg-type]


def _read_network(tree: Tree, problems: Problems) -> NetworkConfig:
    table = read_table(tree.data.get(NETWORK, {}), (NETWORK,), problems)
    read = read_keys(table, (NETWORK,), NETWORK_KEYS, problems)
    config = NetworkConfig(**{**defaults(NETWORK_KEYS), **read})  # type: ignore[arg-type]
    if config.bridge_name == config.default_interface:
        message = f"'{config.bridge_name}' cannot be both the bridge and the host's interface"
        problems.add((NETWORK, "default_interface"), message, "name another one, or leave it out")
    return config


def _read_guest(
    value: TomlValue, path: Path, environ: Mapping[str, str], problems: Problems
) -> dict[str, object]:
    values = read_keys(read_table(value, path, problems), path, GUEST_KEYS, problems)
    _expand(values, path, environ, problems)
    return values


def _expand(
    values: dict[str, object], path: Path, environ: Mapping[str, str], problems: Problems
) -> None:
    """Expand the paths among some values; they have to be absolute then."""
    for name in PATH_KEYS:
        if not values.get(name):
            continue
        text = str(values[name])
        try:
            expanded = expand_path(text, environ)
        except Refusal as refusal:
            problems.add((*path, name), refusal.message, refusal.hint)
            continue
        values[name] = expanded.rstrip("/")
        if not expanded.startswith("/"):
            message = f"expected an absolute path, got '{text}'"
            problems.add((*path, name), message, "begin it with '/', '~/' or '$HOME/'")
        elif not values[name]:
            problems.add((*path, name), f"'{text}' is the whole host", "name a folder of its own")


class _Runtimes:
    """Reads `[[runtimes]]`; remembers what has to be unique."""

    def __init__(
        self,
        environ: Mapping[str, str],
        common: GlobalConfig,
        shared: Mapping[str, object],
        problems: Problems,
    ) -> None:
        self.environ = environ
        self.common = common
        self.shared = shared
        self.problems = problems
        self.taken: dict[tuple[str, object], int] = {}

    def read(self, value: TomlValue) -> dict[int, Runtime]:
        """Return the runtimes that are whole, by their position."""
        if not isinstance(value, list):
            message = f"expected an array of tables, got {type_name(value)}"
            self.problems.add((RUNTIMES,), message, "write [[runtimes]] above each runtime")
            return {}
        found = {position: self._read_one(each, position) for position, each in enumerate(value)}
        return {position: each for position, each in found.items() if each is not None}

    def _read_one(self, value: TomlValue, position: int) -> Runtime | None:
        path: Path = (RUNTIMES, position)
        if not isinstance(value, dict):
            message = f"expected a table, got {type_name(value)}"
            self.problems.add(path, message, "write [[runtimes]] above each runtime")
            return None
        values = read_keys(value, path, RUNTIME_KEYS, self.problems, tables=(GUEST,))
        guest = _read_guest(value.get(GUEST, {}), (*path, GUEST), self.environ, self.problems)
        self._require(value, values, path)
        for key in ("index", "name"):
            self._claim(key, values.get(key), position)
        for number, gpu in enumerate(_gpus(values)):
            self._share(gpu, position, number)
        if not {"index", "name"} <= values.keys():
            return None
        values.setdefault("memory_gb", self.common.default_memory_gb)
        values.setdefault("cpus", self.common.default_cpus)
        merged = GuestConfig(**{**self.shared, **guest})  # type: ignore[arg-type]
        return Runtime(**values, guest=merged)  # type: ignore[arg-type]

    def _require(
        self, given: Mapping[str, TomlValue], values: Mapping[str, object], path: Path
    ) -> None:
        named = f"'{values['name']}'" if "name" in values else "this runtime"
        for key, example in (("index", "index = 1"), ("name", 'name = "inference-1"')):
            if key not in given:
                self.problems.add(path, f"{named} has no {key}", f"add a line like {example}")

    def _claim(self, key: str, value: object, position: int) -> None:
        """Note a problem where another runtime has the same index or name."""
        if value is None:
            return
        first = self.taken.setdefault((key, value), position)
        if first != position:
            message = f"another runtime has the {key} '{value}' already"
            self.problems.add((RUNTIMES, position, key), message, f"give each its own {key}")

    def _share(self, gpu: str, position: int, number: int) -> None:
        first = self.taken.setdefault(("gpu", gpu), position)
        if first != position:
            message = f"another runtime has the GPU {gpu} too: only one of them can run at a time"
            at = (RUNTIMES, position, "gpus", number)
            self.problems.add(at, message, "give each its own GPU", severity=WARNING)


def _gpus(values: Mapping[str, object]) -> tuple[str, ...]:
    gpus = values.get("gpus", ())
    return gpus if isinstance(gpus, tuple) else ()


def _check_addresses(
    runtimes: Mapping[int, Runtime], network: NetworkConfig, problems: Problems
) -> None:
    """Note runtimes for which the bridge's network has no address."""
    last = ipaddress.IPv4Network(network.subnet).num_addresses - 2  # the last one is broadcast
    for position, runtime in runtimes.items():
        if FIRST_HOST + runtime.index > last and not network.join:
            message = f"{network.subnet} has no address for a runtime with this index"
            hint = "number runtimes from 1, or set network.subnet to a larger network"
            problems.add((RUNTIMES, position, "index"), message, hint)


def _check_taps(
    runtimes: Mapping[int, Runtime], network: NetworkConfig, problems: Problems
) -> None:
    """Note a runtime whose tap has the name of the bridge."""
    for runtime in runtimes.values():
        if runtime.tap() == network.bridge_name:
            message = f"'{runtime.tap()}' is the tap of the runtime '{runtime.name}'"
            problems.add((NETWORK, "bridge_name"), message, "take another name for the bridge")
