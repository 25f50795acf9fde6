"""What every check is given, and the questions that several of them ask of the host."""

from __future__ import annotations

from launcher.hypervisor.sysfs import list_names, read_text
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.machine import Machine
    from launcher.hypervisor.host.model import HostConfig, HostSettings

GIB = 1 << 30
INTEL, AMD = "GenuineIntel", "AuthenticAMD"
CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
PREPARE = "sudo vllmd-hypervisor initialize"
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
        """Return the configured GPUs, each with the name of its runtime."""
        return {gpu: runtime.name for runtime in self.config.runtimes for gpu in runtime.gpus}

    @property
    def memory_wanted(self) -> int:
        """Return the memory of all runtimes together, in bytes."""
        return sum(runtime.memory_gb for runtime in self.config.runtimes) * GIB

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
            if name == key and words:
                return int(words[0]) * (1024 if len(words) > 1 else 1)
        return 0

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
