"""What a host is, asked once: the parts that are no files of the kernel's.

The rest, `/sys`, `/proc`, `/dev` and `/etc`, is read below `root`: empty for this machine, else
where the files of another one are mounted (the host's, seen from a container).
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess

from launcher.hypervisor.account import gather_account
from launcher.hypervisor.kvm import KvmState, probe_kvm
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.hypervisor.account import Account

CLOUD_HYPERVISOR = "cloud-hypervisor"
VERSION_LIMIT_S = 10.0
VERSION = re.compile(r"\bv?(\d+(?:\.\d+)+)")
QEMU_NAMES = {
    "x86_64": "qemu-system-x86_64",
    "aarch64": "qemu-system-aarch64",
}


@record
class Program:
    """A program that runs guests. An empty path: there is none. An empty version: it says none."""

    name: str
    path: str = ""
    version: str = ""

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the version's numbers, for comparing."""
        return tuple(int(part) for part in self.version.split(".") if part)


@record
class Machine:
    """A host. `memlock` is the limit on locked memory in bytes, None where there is no limit.

    `is_here`: it is the machine that we run on, so that our own rights say something about it.
    """

    root: str
    account: Account
    kvm: KvmState | None  # None: it cannot be tried, as the machine is not this one
    memlock: int | None
    cloud_hypervisor: Program
    qemu: Program
    is_here: bool = True

    @property
    def sysfs(self) -> str:
        """Return where the host's sysfs is."""
        return f"{self.root}/sys"

    def exists(self, path: str) -> bool:
        """Tell whether the host has such a file or folder."""
        return os.path.exists(f"{self.root}{path}")


def gather_machine(environ: Mapping[str, str], root: str = "") -> Machine:
    """Ask this machine, or one whose files are below `root`: its KVM and programs are not run."""
    root = root.rstrip("/")
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    qemu = QEMU_NAMES.get(os.uname().machine, QEMU_NAMES["x86_64"])
    search = environ.get("PATH") or os.defpath
    return Machine(
        root=root,
        account=gather_account(),
        kvm=None if root else probe_kvm(),
        memlock=None if hard == resource.RLIM_INFINITY else hard,
        cloud_hypervisor=find_program(CLOUD_HYPERVISOR, search, root),
        qemu=find_program(qemu, search, root),
        is_here=not root,
    )


def find_program(name: str, search: str, root: str = "") -> Program:
    """Look for a program in the folders of a PATH, and ask it for its version."""
    folders = os.pathsep.join(f"{root}{each}" for each in search.split(os.pathsep) if each)
    path = shutil.which(name, path=folders)
    if path is None:
        return Program(name=name)
    version = "" if root else _ask_version(path)
    return Program(name=name, path=path.removeprefix(root), version=version)


def _ask_version(path: str) -> str:
    """Return the version that a program prints; empty where it does not run, or says none."""
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = VERSION.search(done.stdout)
    return match[1] if match and done.returncode == 0 else ""
