"""The seed disk, as the guest finds and reads it: a disk labelled CIDATA, mounted read-only."""

from __future__ import annotations

import os

from launcher.hypervisor.inside.kernel import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, mount
from launcher.hypervisor.model import SEED_CONFIG, SEED_LABEL, SEED_OVERRIDES
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

BLOCK_DEVICES = "/sys/class/block"
MOUNT_POINT = "/run/vllmd-seed"
# Where cloud-init puts the same files (`vllmd-hypervisor generate-init`).
FOLDER = "/etc/vllmd"
NETWORK_CONFIG = "network-config"
LARGEST_FILE = 16 << 20  # bytes
# ISO 9660: the primary volume descriptor is the 16th sector of 2048 bytes; its name begins at 40.
DESCRIPTOR_AT = 16 * 2048
DESCRIPTOR_START = b"\x01CD001"
LABEL_SLICE = slice(40, 72)

CONFIG_VARIABLE = "AUTO_INFER_VLLM_CONFIG"
OVERRIDES_VARIABLE = "AUTO_INFER_VLLM_OVERRIDES"


@record
class Seed:
    """What the seed disk has told us. `folder` is empty where there is none."""

    folder: str = ""
    environment: Mapping[str, str]
    network_config: bytes | None = None


def label_of(descriptor: bytes) -> str:
    """Return the volume's label in a primary volume descriptor; empty if it is none."""
    if not descriptor.startswith(DESCRIPTOR_START):
        return ""
    return descriptor[LABEL_SLICE].decode("ascii", "replace").strip()


def find_seed_disk() -> str | None:
    """Return the device of the disk with the label CIDATA, in either case."""
    for name in sorted(os.listdir(BLOCK_DEVICES)):
        path = f"/dev/{name}"
        try:
            with open(path, "rb", buffering=0) as file:
                file.seek(DESCRIPTOR_AT)
                descriptor = file.read(2048)
        except OSError:
            continue  # a drive without a medium, or a device that is no disk
        if label_of(descriptor).upper() == SEED_LABEL:
            return path
    return None


def mount_seed(device: str) -> None:
    """Mount the seed disk where only its reader looks.

    Raises:
        OSError: it cannot be mounted.
    """
    os.makedirs(MOUNT_POINT, mode=0o700, exist_ok=True)
    if not os.path.ismount(MOUNT_POINT):
        mount(device, MOUNT_POINT, "iso9660", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)


def read_seed(folder: str) -> Seed:
    """Read what the entrypoint is to be told from the files in a folder.

    Raises:
        OSError: a file that is there cannot be read.
    """
    environment = {}
    config = os.path.join(folder, SEED_CONFIG)
    if os.path.exists(config):
        environment[CONFIG_VARIABLE] = config
    overrides = _read(os.path.join(folder, SEED_OVERRIDES))
    if overrides:
        environment[OVERRIDES_VARIABLE] = overrides.decode("utf-8", "surrogateescape")
    network_config = _read(os.path.join(folder, NETWORK_CONFIG))
    return Seed(folder=folder, environment=environment, network_config=network_config)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST_FILE)
    except FileNotFoundError:
        return None
