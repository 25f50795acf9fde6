"""The host's configuration file, typed: `[global]`, `[[runtimes]]` and `[network]`."""

from __future__ import annotations

from launcher.record import record

SEED = "seed.img"


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
        return f"{state_dir}/{self.name}/{SEED}"

    def tap(self) -> str:
        """Return the name of this runtime's network device: at most 15 bytes."""
        return f"vllmd-tap{self.index}"


@record
class NetworkConfig:
    """`[network]`. An empty interface means the first active one.

    The bridge has a subnet of its own, and its guests reach the world by NAT through the
    interface; with `join` the interface is a port of the bridge instead.
    """

    default_interface: str = ""
    bridge_name: str = "vllmd-br0"
    subnet: str = "10.111.0.0/24"  # the host is its first address, runtime N the one at 10 + N
    join: bool = False


@record
class HostConfig:
    """The whole file, over its defaults and under the environment."""

    path: str  # of the file; empty where there is none
    common: GlobalConfig
    runtimes: tuple[Runtime, ...]
    network: NetworkConfig


@record
class HostSettings:
    """What the environment alone says about the host's jobs, each its variable's value."""

    log_level: str = "INFO"  # DEBUG, INFO, WARN or ERROR
    dry_run: bool = False
    kvm_group: str = "kvm"
    hugepages_size: str = "2M"  # or "1G"
    skip_nested: bool = False
    skip_network: bool = False
    systemd_dir: str = "/etc/systemd/system"
    runtime_template: str = ""  # empty: ours
    cloud_init_user: str = ""
    ssh_key_path: str = ""
    cloud_image: str = "Ubuntu 22.04"
