"""The host's configuration file, typed: `[global]`, `[[runtimes]]` and `[network]`."""

from __future__ import annotations

from launcher.record import record


@record
class GuestConfig:
    """What a guest is booted from: the `[guest]` table, also allowed in each of `[[runtimes]]`.

    Empty strings and zeros mean "not said": the runtime's own keys or the defaults hold.
    """

    kernel: str = ""
    image: str = ""
    initramfs: str = ""
    cmdline: str = ""
    cpus: int = 0
    memory: str = ""  # in the grammar of VLLMD_HYPERVISOR_MEMORY_CONFIG
    devices: tuple[str, ...] = ()
    net: str = ""  # in the grammar of VLLMD_HYPERVISOR_NET
    publish: tuple[str, ...] = ()
    config: str = ""  # the launcher's TOML file that rides along; in [[runtimes]] only


@record
class GlobalConfig:
    """`[global]`: who runs the guests, where their files are, and defaults for all of them."""

    user: str
    state_dir: str
    config_dir: str
    default_memory_gb: int = 16
    default_cpus: int = 4


@record
class Runtime:
    """One of `[[runtimes]]`, with the global defaults filled in."""

    index: int
    name: str
    gpus: tuple[str, ...] = ()  # full PCI addresses: 0000:01:00.0
    memory_gb: int = 16
    cpus: int = 4
    guest: GuestConfig = GuestConfig()

    def seed_path(self, state_dir: str) -> str:
        """Return where the seed disk of this runtime is."""
        return f"{state_dir}/{self.name}/seed.img"

    def tap(self) -> str:
        """Return the name of this runtime's network device: at most 15 bytes."""
        return f"vllmd-tap{self.index}"


@record
class NetworkConfig:
    """`[network]`. An empty interface means the first active one."""

    default_interface: str = ""
    bridge_name: str = "vllmd-br0"


@record
class HostConfig:
    """The whole file, over its defaults and under the environment."""

    path: str  # of the file; empty where there is none
    common: GlobalConfig
    runtimes: tuple[Runtime, ...]
    network: NetworkConfig
