"""The keys of the host's file, a row each: reading, reference tables and schema come from these."""

from __future__ import annotations

from launcher.config.reader import Key, boolean, integer, string
from launcher.hypervisor.host.values import (
    LONGEST_INTERFACE,
    LONGEST_NAME,
    MOST_CPUS,
    MOST_GB,
    MOST_INDEX,
    PREFIXES,
    interface_name,
    memory,
    net,
    pci_addresses,
    plain_text,
    publish,
    runtime_name,
    strings,
    subnet,
    user_name,
)

GLOBAL, RUNTIMES, NETWORK, GUEST = "global", "runtimes", "network", "guest"
TOP_LEVEL_TABLES = (GLOBAL, RUNTIMES, NETWORK, GUEST)

_GB = f"an integer, 1 to {MOST_GB}"
_CPUS = f"an integer, 1 to {MOST_CPUS}"
_PATH = "a path; `~` and `$NAME` are expanded"
STATE_DIR = "$HOME/.local/state/vllmd-hypervisor"
CONFIG_DIR = "$HOME/.config/vllmd"

GLOBAL_KEYS = (
    Key(
        name="user",
        check=user_name,
        expected="a user",
        doc="Username for systemd services",
        default="",
        default_words="current user",
    ),
    Key(
        name="state_dir",
        check=string,
        expected=_PATH,
        doc="Directory path for state data",
        default=STATE_DIR,
    ),
    Key(
        name="config_dir",
        check=string,
        expected=_PATH,
        doc="Directory path for configuration files",
        default=CONFIG_DIR,
    ),
    Key(
        name="default_memory_gb",
        check=integer(1, MOST_GB),
        expected=_GB,
        doc="Default memory of a runtime, in GB (of 1024 MiB)",
        default=16,
    ),
    Key(
        name="default_cpus",
        check=integer(1, MOST_CPUS),
        expected=_CPUS,
        doc="Default number of a runtime's CPUs",
        default=4,
    ),
)

RUNTIME_KEYS = (
    Key(
        name="index",
        check=integer(1, MOST_INDEX),
        expected=f"an integer, 1 to {MOST_INDEX}",
        doc="Unique index of the runtime",
        default=None,
        default_words="required",
    ),
    Key(
        name="name",
        check=runtime_name,
        expected=f"letters, digits, `_`, `-`; at most {LONGEST_NAME}",
        doc="Unique, descriptive name of the runtime",
        default=None,
        default_words="required",
    ),
    Key(
        name="gpus",
        check=pci_addresses,
        expected='an array of PCI addresses in full, like `["0000:01:00.0"]`',
        doc="GPUs to pass through",
        default=(),
        default_words="`[]`",
    ),
    Key(
        name="memory_gb",
        check=integer(1, MOST_GB),
        expected=_GB,
        doc="Memory, in GB (of 1024 MiB)",
        default=None,
        default_words="`global.default_memory_gb`",
    ),
    Key(
        name="cpus",
        check=integer(1, MOST_CPUS),
        expected=_CPUS,
        doc="Number of CPUs",
        default=None,
        default_words="`global.default_cpus`",
    ),
)

NETWORK_KEYS = (
    Key(
        name="default_interface",
        check=interface_name,
        expected="an interface",
        doc="Host interface to the world",
        default="",
        default_words="first active interface",
    ),
    Key(
        name="bridge_name",
        check=interface_name,
        expected=f"at most {LONGEST_INTERFACE} bytes",
        doc="Name of the bridge interface",
        default="vllmd-br0",
    ),
    Key(
        name="subnet",
        check=subnet,
        expected=f"a private IPv4 network, /{PREFIXES[0]} to /{PREFIXES[-1]}",
        doc="The bridge's own network: the host is its first address, runtime N the one at 10 + N",
        default="10.111.0.0/24",
    ),
    Key(
        name="join",
        check=boolean,
        expected="a boolean",
        doc="Make the host's interface a port of the bridge, in place of NAT; it loses its address",
        default=False,
    ),
)

GUEST_KEYS = (
    Key(
        name="kernel",
        check=string,
        expected=_PATH,
        doc="Kernel or firmware",
        default="",
        default_words="what `image build` made",
    ),
    Key(
        name="image",
        check=string,
        expected=_PATH,
        doc="System image",
        default="",
        default_words="what `image build` made",
    ),
    Key(
        name="initramfs",
        check=string,
        expected=_PATH,
        doc="Initial RAM file system",
        default="",
        default_words="what `image build` made",
    ),
    Key(
        name="cmdline",
        check=plain_text,
        expected="a string",
        doc="Kernel command line",
        default="",
        default_words="what `image build` wrote",
    ),
    Key(
        name="cpus",
        check=integer(1, MOST_CPUS),
        expected=_CPUS,
        doc="Number of CPUs",
        default=0,
        default_words="the runtime's",
    ),
    Key(
        name="memory",
        check=memory,
        expected="in the grammar of `VLLMD_HYPERVISOR_MEMORY_CONFIG`",
        doc="Memory",
        default="",
        default_words="the runtime's `memory_gb`",
    ),
    Key(
        name="devices",
        check=strings,
        expected="an array: `/dev/vfio/N`, sysfs paths or PCI addresses",
        doc="Devices to pass through",
        default=(),
        default_words="the runtime's `gpus`",
    ),
    Key(
        name="net",
        check=net,
        expected="in the grammar of `VLLMD_HYPERVISOR_NET`",
        doc="Network",
        default="",
        default_words="the tap of the runtime",
    ),
    Key(
        name="publish",
        check=publish,
        expected='an array, like `["8000:8000"]`',
        doc="Ports to publish",
        default=(),
        default_words="`[]`",
    ),
    Key(
        name="config",
        check=string,
        expected=_PATH,
        doc="The launcher's TOML file that rides along",
        default="",
        default_words="none",
    ),
)

TABLES = {
    GLOBAL: GLOBAL_KEYS,
    RUNTIMES: RUNTIME_KEYS,
    NETWORK: NETWORK_KEYS,
    GUEST: GUEST_KEYS,
}
# Keys that hold a path on the host: expanded, and absolute then.
PATH_KEYS = ("state_dir", "config_dir", "kernel", "image", "initramfs", "config")
