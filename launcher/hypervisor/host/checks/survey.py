"""What every check is given, and the questions that several of them ask of the host."""

from __future__ import annotations

import contextlib
import os
import shlex

from launcher.config.reader import Refusal
from launcher.hypervisor.memory import parse_memory
from launcher.hypervisor.pci import ADDRESS, parse_address, resolve_device
from launcher.hypervisor.sysfs import list_names, read_text
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.machine import Machine
    from launcher.hypervisor.host.model import HostConfig, HostSettings, Runtime

GIB = 1 << 30
INTEL, AMD = "GenuineIntel", "AuthenticAMD"
CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
# The file that a command by sudo reads, which keeps neither HOME nor variables (sudoers(5)).
FILE_OF_ROOT = "/root/.config/vllmd/config.toml"
# Kinds of distributions, by the words of os-release, and how each installs packages.
INSTALLERS = {
    "debian": "sudo apt-get install",
    "ubuntu": "sudo apt-get install",
    "fedora": "sudo dnf install",
    "rhel": "sudo dnf install",
    "suse": "sudo zypper install",
    "arch": "sudo pacman -S",
}
GRUBBY = ("fedora", "rhel")


def memory_of(runtime: Runtime) -> int:
    """Return the memory of a runtime, in bytes: its guest's own words win."""
    if runtime.guest.memory:
        return parse_memory(runtime.guest.memory)[0].size
    return runtime.memory_gb * GIB


def uses_hugepages(runtime: Runtime) -> bool:
    """Tell whether a runtime's memory is in huge pages: it is, unless its guest says otherwise."""
    return not runtime.guest.memory or parse_memory(runtime.guest.memory)[0].hugepages


def cpus_of(runtime: Runtime) -> int:
    """Return the number of a runtime's CPUs: its guest's own word wins."""
    return runtime.guest.cpus or runtime.cpus


def has_devices(runtime: Runtime) -> bool:
    """Tell whether a runtime is given devices of the host."""
    return bool(runtime.guest.devices or runtime.gpus)


@record
class Survey:
    """The host, and what is wanted of it."""

    config: HostConfig
    settings: HostSettings
    machine: Machine

    def read(self, path: str) -> str:
        """Return the text of a file of the host; empty where it cannot be read."""
        return read_text(f"{self.machine.root}{path}")

    def names(self, path: str) -> tuple[str, ...]:
        """Return the names in a folder of the host."""
        return list_names(f"{self.machine.root}{path}")

    @property
    def gpus(self) -> dict[str, str]:
        """Return the wanted devices by address, each with the name of its runtime.

        An address counts also where no such device is; other names are looked up.
        """
        found: dict[str, str] = {}
        for runtime in self.config.runtimes:
            for text in runtime.guest.devices or runtime.gpus:
                with contextlib.suppress(Refusal):  # see lost_devices
                    found.update(dict.fromkeys(self._addresses(text), runtime.name))
        return found

    @property
    def lost_devices(self) -> tuple[tuple[str, Refusal], ...]:
        """Return the names that mean no device of the host, each with what is wrong with it."""
        lost: list[tuple[str, Refusal]] = []
        for runtime in self.config.runtimes:
            for text in runtime.guest.devices:
                try:
                    self._addresses(text)
                except Refusal as refusal:
                    lost.append((text, refusal))
        return tuple(lost)

    def _addresses(self, text: str) -> tuple[str, ...]:
        if ADDRESS.fullmatch(text.lower()):
            return (parse_address(text),)
        return tuple(each.address for each in resolve_device(text, self.machine.sysfs))

    @property
    def memory_wanted(self) -> int:
        """Return the memory of all runtimes together, in bytes."""
        return sum(memory_of(runtime) for runtime in self.config.runtimes)

    @property
    def is_container(self) -> bool:
        """Tell whether we are in a container: what it sees is the host's, but not what it may."""
        if any(self.machine.exists(path) for path in CONTAINER_MARKS):
            return True
        return "container=" in self.read("/proc/1/environ")

    @property
    def is_guest(self) -> bool:
        """Tell whether the host is a virtual machine itself."""
        return "hypervisor" in self.cpu_flags

    @property
    def vendor(self) -> str:
        """Return who made the CPU, in the CPU's own words; empty where it is no x86."""
        return self._cpu_line("vendor_id")

    @property
    def cpu_flags(self) -> tuple[str, ...]:
        """Return the features of the CPU."""
        return tuple(self._cpu_line("flags").split())

    @property
    def cpu_model(self) -> str:
        """Return the name of the CPU."""
        return self._cpu_line("model name")

    @property
    def cpu_count(self) -> int:
        """Return the number of CPUs that are on."""
        lines = self.read("/proc/cpuinfo").splitlines()
        return sum(line.partition(":")[0].strip() == "processor" for line in lines)

    @property
    def kvm_module(self) -> str:
        """Return the kernel module that makes /dev/kvm."""
        return {INTEL: "kvm_intel", AMD: "kvm_amd"}.get(self.vendor, "kvm")

    def meminfo(self, key: str) -> int:
        """Return a value of /proc/meminfo, in bytes (or in pages where it counts pages)."""
        for line in self.read("/proc/meminfo").splitlines():
            name, _, rest = line.partition(":")
            words = rest.split()
            if name == key and words and words[0].isdecimal():
                return int(words[0]) * (1024 if len(words) > 1 else 1)
        return 0

    def find_uid(self, user: str) -> int | None:
        """Return a user's number on the host, None where the host's own files do not say."""
        for line in self.read("/etc/passwd").splitlines():
            fields = line.split(":")
            if fields[0] == user and len(fields) > 3 and fields[2].isdecimal():  # noqa: PLR2004
                return int(fields[2])
        return None

    def prepare(self, **variables: str) -> str:
        """Return the command that prepares the host as its file says, whoever types it."""
        path = self.config.path
        if path and os.path.abspath(path) != FILE_OF_ROOT:
            variables = {"VLLMD_HYPERVISOR_CONFIG": os.path.abspath(path), **variables}
        words = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
        return " ".join(["sudo", *words, "vllmd-hypervisor initialize"])

    def install(self, packages: str) -> str:
        """Return the command that installs packages here; Debian's where nobody knows."""
        for word in self._distribution:
            if word in INSTALLERS:
                return f"{INSTALLERS[word]} {packages}"
        return f"{INSTALLERS['debian']} {packages}"

    def boot_with(self, arguments: str) -> str:
        """Return the command that adds arguments to the kernel's command line for good."""
        if any(word in GRUBBY for word in self._distribution):
            return f"sudo grubby --update-kernel=ALL --args='{arguments}' && sudo reboot"
        edit = f"sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{arguments} /' /etc/default/grub"
        return f"{edit} && sudo update-grub && sudo reboot"

    @property
    def _distribution(self) -> tuple[str, ...]:
        found: dict[str, str] = {}
        for line in self.read("/etc/os-release").splitlines():
            key, _, value = line.partition("=")
            found[key] = value.strip("\"'")
        words = f"{found.get('ID', '')} {found.get('ID_LIKE', '')}".split()
        return tuple(part for word in words for part in (word, word.partition("-")[2]) if part)

    def _cpu_line(self, key: str) -> str:
        for line in self.read("/proc/cpuinfo").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
        return ""
