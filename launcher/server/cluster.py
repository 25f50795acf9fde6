"""`[instance.<name>.cluster]`: one server on several machines, as the file says it.

The same file is on every machine. What differs between them (which of them this is, and where the
first one is) comes from variables: `launcher.server.cluster_facts`. How it becomes flags is in
`launcher.server.cluster_plan`.
"""

from __future__ import annotations

from launcher.config.problems import type_name
from launcher.config.reader import Key, Refusal, integer, one_of, read_keys, read_table
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import Path, TomlValue
    from launcher.config.reader import Problems

NATIVE, RAY = "native", "ray"
TABLE = "cluster"
REFERENCE = "env:"
MAX_PORT = 65535
# The default of vLLM's own --master-port (vllm/config/parallel.py).
DEFAULT_PORT = 29501


def read_leader(value: TomlValue) -> str:
    """Take a host, an address, or the name of a variable that holds one.

    Raises:
        Refusal: anything else.
    """
    hint = 'write it like leader = "10.0.0.1", or "env:NAME"'
    if not isinstance(value, str):
        raise Refusal(f"expected a host or an address, got {type_name(value)}", hint)
    _require_name(value)
    if not value or any(c.isspace() or not c.isprintable() or c in "/'\"" for c in value):
        raise Refusal(f"expected a host or an address, got '{value}'", hint)
    if not value.startswith(REFERENCE) and value.count(":") == 1:
        raise Refusal(f"expected a host without a port, got '{value}'", "put the port into 'port'")
    return value


def _rank(value: TomlValue) -> int | str:
    hint = 'write 0 for the leader, 1, 2, ... for the workers, or "env:NAME"'
    if isinstance(value, str) and value.startswith(REFERENCE):
        _require_name(value)
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refusal(f"expected an integer or 'env:NAME', got {type_name(value)}", hint)
    if value < 0:
        raise Refusal(f"expected an integer, at least 0, got {value}", hint)
    return value


def _require_name(value: str) -> None:
    name = value.removeprefix(REFERENCE)
    if value.startswith(REFERENCE) and not (name.isascii() and name.isidentifier()):
        raise Refusal(f"'{name}' cannot name an environment variable", 'write "env:NAME"')


CLUSTER_KEYS = (
    Key(
        name="nodes",
        check=integer(1),
        expected="integer, at least 1",
        default_words="by the environment",
        doc="How many machines the instance spans.",
    ),
    Key(
        name="engine",
        check=one_of(NATIVE, RAY),
        expected='"native" or "ray"',
        default=NATIVE,
        doc="How vLLM reaches the other machines. native: its own processes (`--nnodes`, or the "
        "`--data-parallel-...` flags). ray: its Ray executor, with a Ray cluster that lives as "
        "long as the instance.",
    ),
    Key(
        name="rank",
        check=_rank,
        expected='integer, or "env:NAME"',
        default_words="by the environment",
        doc="Which of the machines this is: 0 is the leader, which answers requests.",
    ),
    Key(
        name="leader",
        check=read_leader,
        expected='host, or "env:NAME"',
        default_words="by the environment",
        doc="Name or address of the leader, as all machines reach it.",
    ),
    Key(
        name="port",
        check=integer(1, MAX_PORT),
        expected="integer, 1 to 65535",
        default_words=f"by the environment, else {DEFAULT_PORT}",
        doc="Port of the leader on which vLLM (or Ray) brings the machines together.",
    ),
    Key(
        name="link_port",
        check=integer(1, MAX_PORT),
        expected="integer, 1 to 65535",
        default_words="`port` + 1",
        doc="Port of the leader on which the launchers tell each other that they live.",
    ),
)


@record
class Cluster:
    """The table as it was written; None stands for what the environment has to say.

    `rank` and `leader` may be `env:NAME`. `paths` tells where each key was set.
    """

    nodes: int | None = None
    engine: str = NATIVE
    rank: int | str | None = None
    leader: str | None = None
    port: int | None = None
    link_port: int | None = None
    path: Path = ()
    paths: dict[str, Path]

    def place(self, key: str) -> Path:
        """Return where a key was set, else the table."""
        return self.paths.get(key, self.path)


def read_cluster(value: TomlValue, path: Path, problems: Problems) -> Cluster:
    """Read the table of one instance."""
    read = read_keys(read_table(value, path, problems), path, CLUSTER_KEYS, problems)
    paths: dict[str, Path] = {key: (*path, key) for key in read}
    return Cluster(**read, path=path, paths=paths)  # type: ignore[arg-type]
