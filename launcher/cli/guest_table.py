"""`[guest]` in the launcher's file: the guest that the same configuration may run in.

`vllmd run` and `vllmd check` look whether it is right, and do nothing with it;
`vllmd-hypervisor start --config` boots what it describes.
"""

from __future__ import annotations

from launcher.config.reader import Problems, read_keys, read_table
from launcher.hypervisor.host.keys import GUEST, GUEST_KEYS
from launcher.hypervisor.host.model import GuestConfig
from launcher.hypervisor.host.values import MOST_CPUS
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.layers import Tree
    from launcher.config.problems import TomlValue
    from launcher.server.model import LauncherConfig

# What holds where this table does not say: here is no runtime of the host's file to ask.
_DEFAULTS = {
    "cpus": "4",
    "memory": '`"size=16G,shared=on"`',
    "devices": "none",
    "net": '`"user"` with QEMU, `"none"` with Cloud Hypervisor',
    "publish": "none",
}
# The file that rides along is the one that the table is in.
LAUNCHER_GUEST_KEYS = tuple(
    replace(key, default_words=_DEFAULTS.get(key.name, key.default_words))
    for key in GUEST_KEYS
    if key.name != "config"
)

ARRAYS = ("devices", "publish")


def with_checked_guest(config: LauncherConfig) -> LauncherConfig:
    """Return the configuration with the problems of its table `[guest]`, if it has one."""
    problems = Problems(config.tree)
    read_guest(config.tree, problems)
    return replace(config, problems=(*config.problems, *problems.found))


def read_guest(tree: Tree, problems: Problems) -> GuestConfig:
    """Read the table; what it does not say is empty."""
    table = read_table(tree.data.get(GUEST, {}), (GUEST,), problems)
    values = read_keys(table, (GUEST,), LAUNCHER_GUEST_KEYS, problems)
    return GuestConfig(**values)  # type: ignore[arg-type]


def render_guest_schema() -> dict[str, TomlValue]:
    """Render the table for editors. The reader's own check is the one that counts."""
    return {
        "properties": {
            key.name: {**_type_of(key.name), "description": f"{key.doc}: {key.expected}."}
            for key in LAUNCHER_GUEST_KEYS
        },
        "additionalProperties": False,
    }


def _type_of(name: str) -> dict[str, TomlValue]:
    if name in ARRAYS:
        return {"type": "array", "items": {"type": "string", "minLength": 1}}
    if name == "cpus":
        return {"type": "integer", "minimum": 1, "maximum": MOST_CPUS}
    return {"type": "string", "minLength": 1}
