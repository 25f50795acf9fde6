"""Every environment variable of `vllmd-hypervisor`: the one registry.

Reading, `vllmd-hypervisor variables`, the tables of docs/hypervisor.md and the warning about an
unknown `VLLMD_*` name all come from these rows.
"""

from __future__ import annotations

from launcher.record import record

PREFIX = "VLLMD_"

# What kind of text a variable holds.
PATH = "path"
TEXT = "text"
INTEGER = "integer"
SECONDS = "seconds"
BOOLEAN = "boolean"
PRESENCE = "presence"  # on when set to anything but the empty string
CHOICE = "choice"
LIST = "list"  # separated by commas


@record
class Variable:
    """One environment variable.

    `default` is the text that it has when unset; `default_words` says it where it is a rule and
    not a text. `key` is the key of the host's TOML file that it wins over, if any.
    """

    name: str
    kind: str
    doc: str
    used_by: tuple[str, ...]
    default: str = ""
    default_words: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    key: str = ""


_GUEST = ("start", "stop", "status", "logs")
_HOST = ("precheck", "initialize", "generate-init", "install-systemd")

# One guest: what `start` boots.
GUEST_VARIABLES = (
    Variable(
        name="VLLMD_HYPERVISOR_KERNEL_FILEPATH",
        kind=PATH,
        doc="Path to the kernel or firmware file",
        used_by=("start",),
        required=True,
    ),
    Variable(
        name="VLLMD_HYPERVISOR_SYSTEM_IMAGE_FILEPATH",
        kind=PATH,
        doc="Path to the primary disk image",
        used_by=("start",),
        required=True,
    ),
    Variable(
        name="VLLMD_HYPERVISOR_CONFIG_IMAGE_FILEPATH",
        kind=PATH,
        doc="Path to the config disk image (read-only)",
        used_by=("start",),
        required=True,
    ),
    Variable(
        name="VLLMD_HYPERVISOR_CPU_COUNT",
        kind=INTEGER,
        doc="Number of vCPUs",
        used_by=("start",),
        default="4",
    ),
    Variable(
        name="VLLMD_HYPERVISOR_MEMORY_CONFIG",
        kind=TEXT,
        doc="Memory, in the grammar of Cloud Hypervisor's --memory",
        used_by=("start",),
        default="size=16G,shared=on",
    ),
    Variable(
        name="VLLMD_HYPERVISOR_DEVICE_FILEPATH_LIST",
        kind=LIST,
        doc="Devices to pass through: /dev/vfio/N, sysfs paths or PCI addresses",
        used_by=("start",),
        default_words="none",
    ),
    Variable(
        name="VLLMD_HYPERVISOR_CMDLINE",
        kind=TEXT,
        doc="Kernel command line",
        used_by=("start",),
        default_words="empty",
    ),
    Variable(
        name="VLLMD_HYPERVISOR_LOG_FILEPATH",
        kind=PATH,
        doc="Path to the log file",
        used_by=_GUEST,
        default="/dev/stdout",
    ),
    Variable(
        name="VLLMD_HYPERVISOR_DEBUG",
        kind=PRESENCE,
        doc="Debug logging, when set",
        used_by=_GUEST,
        default_words="off",
    ),
    Variable(
        name="VLLMD_HYPERVISOR_NAME",
        kind=TEXT,
        doc="Name of the guest: several run side by side under different names",
        used_by=_GUEST,
        default="default",
    ),
    Variable(
        name="VLLMD_HYPERVISOR_BACKEND",
        kind=CHOICE,
        doc="Which program runs the guest",
        used_by=("start",),
        default="auto",
        choices=("auto", "cloud-hypervisor", "qemu"),
    ),
    Variable(
        name="VLLMD_HYPERVISOR_ACCEL",
        kind=CHOICE,
        doc="Hardware virtualisation or emulation",
        used_by=("start",),
        default="auto",
        choices=("auto", "kvm", "tcg"),
    ),
    Variable(
        name="VLLMD_HYPERVISOR_INITRAMFS_FILEPATH",
        kind=PATH,
        doc="Path to the initial RAM file system",
        used_by=("start",),
        default_words="none",
    ),
    Variable(
        name="VLLMD_HYPERVISOR_NET",
        kind=TEXT,
        doc="Network: 'user', 'none', or 'tap=NAME[,mac=ADDRESS]'",
        used_by=("start",),
        default_words="'user' with QEMU, 'none' with Cloud Hypervisor",
    ),
    Variable(
        name="VLLMD_HYPERVISOR_PUBLISH",
        kind=LIST,
        doc="Ports to publish: [HOST:]HOST_PORT:GUEST_PORT, on 127.0.0.1 where HOST is left out",
        used_by=("start",),
        default_words="none",
    ),
    Variable(
        name="VLLMD_HYPERVISOR_STOP_TIMEOUT",
        kind=SECONDS,
        doc="Seconds that a guest gets to shut down by itself before it is forced",
        used_by=("start", "stop"),
        default="20",
    ),
)

# The host: its file, and what its four jobs do.
HOST_VARIABLES = (
    Variable(
        name="VLLMD_HYPERVISOR_CONFIG",
        kind=PATH,
        doc="Path to the main configuration file",
        used_by=_HOST,
        default="$HOME/.config/vllmd/config.toml",
    ),
    Variable(
        name="VLLMD_HYPERVISOR_STATE_DIR",
        kind=PATH,
        doc="Directory for runtime state data",
        used_by=("start", *_HOST),
        default="$HOME/.local/state/vllmd-hypervisor",
        key="global.state_dir",
    ),
    Variable(
        name="VLLMD_HYPERVISOR_LOG_LEVEL",
        kind=CHOICE,
        doc="Logging verbosity",
        used_by=_HOST,
        default="INFO",
        choices=("DEBUG", "INFO", "WARN", "ERROR"),
    ),
    Variable(
        name="VLLMD_HYPERVISOR_DRY_RUN",
        kind=BOOLEAN,
        doc="If true, validate and show each step, and change nothing",
        used_by=("initialize", "install-systemd", "generate-init"),
        default="false",
    ),
    Variable(
        name="VLLMD_KVM_GROUP",
        kind=TEXT,
        doc="Group name for KVM permissions",
        used_by=("precheck", "install-systemd"),
        default="kvm",
    ),
    Variable(
        name="VLLMD_HUGEPAGES_SIZE",
        kind=CHOICE,
        doc="Size of huge pages",
        used_by=("precheck", "initialize", "install-systemd"),
        default="2M",
        choices=("2M", "1G"),
    ),
    Variable(
        name="VLLMD_DISABLE_NESTED_VIRT",
        kind=BOOLEAN,
        doc="If true, skip the check of nested virtualisation",
        used_by=("precheck",),
        default="false",
    ),
    Variable(
        name="VLLMD_BRIDGE_NAME",
        kind=TEXT,
        doc="Name of the network bridge interface",
        used_by=("precheck", "initialize"),
        default="vllmd-br0",
        key="network.bridge_name",
    ),
    Variable(
        name="VLLMD_HOST_INTERFACE",
        kind=TEXT,
        doc="Host interface to bridge with the guests' interfaces",
        used_by=("precheck", "initialize"),
        default_words="first active interface",
        key="network.default_interface",
    ),
    Variable(
        name="VLLMD_DISABLE_NETWORK",
        kind=BOOLEAN,
        doc="If true, skip the network",
        used_by=("precheck", "initialize", "install-systemd", "generate-init"),
        default="false",
    ),
    Variable(
        name="VLLMD_SYSTEMD_USER",
        kind=TEXT,
        doc="User of the systemd services",
        used_by=("precheck", "install-systemd", "initialize", "generate-init"),
        default_words="current user",
        key="global.user",
    ),
    Variable(
        name="VLLMD_SYSTEMD_DIR",
        kind=PATH,
        doc="Directory for systemd service files",
        used_by=("install-systemd",),
        default="/etc/systemd/system",
    ),
    Variable(
        name="VLLMD_RUNTIME_TEMPLATE",
        kind=PATH,
        doc="Custom systemd service template",
        used_by=("install-systemd",),
        default_words="the template of this package",
    ),
    Variable(
        name="VLLMD_CLOUD_INIT_USER",
        kind=TEXT,
        doc="User name in cloud-init's user-data",
        used_by=("generate-init",),
        default_words="current user",
    ),
    Variable(
        name="VLLMD_SSH_KEY_PATH",
        kind=PATH,
        doc="SSH public key that may log in to the guest",
        used_by=("generate-init",),
        default="$HOME/.ssh/id_rsa.pub",
    ),
    Variable(
        name="VLLMD_CLOUD_IMAGE",
        kind=TEXT,
        doc="Base cloud image of the guests",
        used_by=("generate-init",),
        default="Ubuntu 22.04",
    ),
)

# Names with our prefix that others read: `vllmd` itself, its Makefile and its tests.
OTHER_VARIABLES = {
    "VLLMD_CLUSTER_LEADER": "Name or address of a cluster's first machine",
    "VLLMD_CLUSTER_NODES": "How many machines a cluster has",
    "VLLMD_CLUSTER_PORT": "Port where a cluster's machines meet",
    "VLLMD_CLUSTER_RANK": "Which machine of a cluster this is",
    "VLLMD_CONTAINER_GRACE_S": "Seconds that a container's stop leaves to the launcher",
    "VLLMD_INSTANCE": "Name of the instance, in the environment of each server",
    "VLLMD_SOCKET": "Control socket of a running launcher",
    "VLLMD_SPARE": "Room for variables, in the environment of a server that is held ready",
    "VLLMD_TEST_IMAGE_CACHE": "Folder of images, for the tests",
    "VLLMD_TEST_RUN": "Marks the processes of a test",
    "VLLMD_TEST_VLLM_PYTHON": "Interpreter with vLLM, for the tests",
    "VLLMD_TIMEOUT_PROFILE": "Timeouts of a client",
    "VLLMD_TORCH_INDEX_URL": "Where the CPU build of torch is taken from",
    "VLLMD_UPDATE_GOLDEN": "Writes the expected files of tests again",
    "VLLMD_VLLM_PYTHON": "Interpreter with vLLM, for 'make run'",
}

VARIABLES = {each.name: each for each in (*GUEST_VARIABLES, *HOST_VARIABLES)}
