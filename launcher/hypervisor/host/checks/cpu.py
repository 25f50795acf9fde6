"""The CPU, KVM and who may use it."""

from __future__ import annotations

from launcher.hypervisor.host.checks.survey import AMD, INTEL, cpus_of
from launcher.hypervisor.host.findings import FAIL, OK, SKIP, WARN, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.checks.survey import Survey

FLAGS = {"vmx": "Intel VT-x", "svm": "AMD-V"}
FIRMWARE = "systemctl reboot --firmware-setup"
GROUP_WHY = "only its members and root may open /dev/kvm"
KVM_WHY = "without KVM guests are emulated: slower by a factor of 10 and more, and without GPUs"


def check_host(survey: Survey) -> Finding:
    """Say what the host is. A container and a virtual machine can do less than a machine."""
    nodes = len([each for each in survey.names("/sys/devices/system/node") if _is_node(each)])
    cpus, memory = survey.cpu_count, survey.meminfo("MemTotal") >> 30
    parts = [survey.cpu_model or "unknown CPU", f"{cpus} CPUs", f"{memory} GiB of memory"]
    if nodes > 1:
        parts.append(f"{nodes} NUMA nodes")
    seen = ", ".join(parts)
    if survey.is_container:
        return Finding(
            name="host",
            status=WARN,
            seen=f"a container on {seen}",
            why="a container sees its host's hardware, and may not be allowed to use or prepare it",
            mend="sudo vllmd-hypervisor precheck  # on the host, outside of the container",
        )
    if survey.is_guest:
        seen = f"a virtual machine with {seen}"
    return Finding(name="host", status=OK, seen=seen, why="what follows was seen here")


def check_virtualisation(survey: Survey) -> Finding:
    """Look for the CPU's own support of virtual machines."""
    name, why = "cpu-virtualisation", "KVM is built on it; " + KVM_WHY
    found = [words for flag, words in FLAGS.items() if flag in survey.cpu_flags]
    if found:
        return Finding(name=name, status=OK, seen=found[0], why=why)
    if survey.machine.kvm is not None and survey.machine.kvm.works:
        return Finding(name=name, status=OK, seen="not shown, but KVM works", why=why)
    if not survey.cpu_flags:
        return Finding(name=name, status=SKIP, seen="this CPU has no list of features", why=why)
    if survey.is_guest:
        mend = f"echo 'options {survey.kvm_module} nested=1' | sudo tee /etc/modprobe.d/kvm.conf"
        mend += "  # on the machine below this one; then start this one with its CPU (host)"
        return Finding(
            name=name,
            status=FAIL,
            seen="this virtual machine has neither vmx nor svm",
            why=why,
            mend=mend,
        )
    option = {INTEL: "Intel VT-x", AMD: "SVM"}.get(survey.vendor, "virtualisation")
    return Finding(
        name=name,
        status=FAIL,
        seen="the CPU shows neither vmx nor svm",
        why=why,
        mend=f"{FIRMWARE}  # and turn {option} on there",
    )


def check_kvm(survey: Survey) -> Finding:
    """Hear whether a virtual machine could be made: that /dev/kvm is there is no proof."""
    name, machine = "kvm", survey.machine
    if machine.kvm is None:
        present = machine.exists("/dev/kvm")
        seen = "/dev/kvm is there; not tried" if present else "there is no /dev/kvm"
        return Finding(name=name, status=SKIP if present else FAIL, seen=seen, why=KVM_WHY,
                       mend="" if present else _load_kvm(survey))  # fmt: skip
    if machine.kvm.works:
        seen = "a virtual machine runs in it" if survey.vendor else "/dev/kvm answers"
        return Finding(name=name, status=OK, seen=seen, why=KVM_WHY)
    mend = _load_kvm(survey)
    if machine.kvm.denied:
        group = survey.settings.kvm_group
        mend = f"sudo usermod -aG {group} {machine.account.user}  # then log in again"
    elif machine.exists("/dev/kvm"):
        mend = "export VLLMD_HYPERVISOR_ACCEL=tcg  # emulation, or mend the hypervisor below"
        if not survey.is_guest:
            mend = f"sudo modprobe -r {survey.kvm_module}; sudo modprobe {survey.kvm_module}"
    return Finding(name=name, status=FAIL, seen=machine.kvm.reason, why=KVM_WHY, mend=mend)


def _load_kvm(survey: Survey) -> str:
    if survey.is_container:
        return "docker run --device /dev/kvm ...  # start the container so"
    return f"sudo modprobe {survey.kvm_module}"


def check_group(survey: Survey) -> Finding:
    """Look whether the user of the guests is in the group of /dev/kvm, and in force."""
    group, user = survey.settings.kvm_group, survey.config.common.user
    name, why = "kvm-group", GROUP_WHY
    if user == "root":
        return Finding(name=name, status=OK, seen="root needs no group", why=why)
    if user != survey.machine.account.user and survey.find_uid(user) is None:
        seen = f"there is no user '{user}' in /etc/passwd"
        mend = f"sudo useradd --system --create-home --groups {group} {user}"
        return Finding(name=name, status=WARN, seen=seen, why="guests run as this user", mend=mend)
    number, members = _find_group(survey, group)
    if number is None:
        mend = f"sudo groupadd --system {group} && sudo chgrp {group} /dev/kvm"
        seen = f"there is no group '{group}'"
        return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)
    return _check_membership(survey, number, members)


def _check_membership(survey: Survey, number: int, members: tuple[str, ...]) -> Finding:
    """Look whether the guests' user is in a group; a session has the groups of its beginning."""
    group, user = survey.settings.kvm_group, survey.config.common.user
    name, why = "kvm-group", GROUP_WHY
    account = survey.machine.account
    is_self = user == account.user and survey.machine.is_here
    if is_self and number in account.gids:
        return Finding(name=name, status=OK, seen=f"'{user}' is in '{group}'", why=why)
    if user in members or number == _primary_group(survey, user):
        if not is_self:
            return Finding(name=name, status=OK, seen=f"'{user}' is in '{group}'", why=why)
        seen = f"'{user}' is in '{group}', but this login began before"
        mend = f"newgrp {group}  # or log in again"
        return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)
    seen = f"'{user}' is not in '{group}'"
    mend = f"sudo usermod -aG {group} {user}  # then log in again"
    works = is_self and survey.machine.kvm is not None and survey.machine.kvm.works
    status = WARN if works else FAIL
    return Finding(name=name, status=status, seen=seen, why=why, mend=mend)


def check_nested(survey: Survey) -> Finding:
    """Look whether guests may run virtual machines themselves."""
    name = "nested-virtualisation"
    why = "only guests that run virtual machines themselves need it"
    if survey.settings.skip_nested:
        seen = "VLLMD_DISABLE_NESTED_VIRT says so"
        return Finding(name=name, status=SKIP, seen=seen, why=why)
    for module in ("kvm_intel", "kvm_amd"):
        value = survey.read(f"/sys/module/{module}/parameters/nested").strip()
        if value in {"Y", "1"}:
            return Finding(name=name, status=OK, seen=f"{module} allows it", why=why)
        if value:
            conf = f"echo 'options {module} nested=1' | sudo tee /etc/modprobe.d/kvm.conf"
            mend = f"{conf} && sudo modprobe -r {module} && sudo modprobe {module}"
            seen = f"{module} forbids it"
            return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)
    seen = "unknown: neither kvm_intel nor kvm_amd is loaded"
    return Finding(name=name, status=SKIP, seen=seen, why=why)


def check_cpus(survey: Survey) -> Finding:
    """Compare the CPUs of the runtimes with the host's."""
    name, why = "cpus", "guests that share CPUs slow each other down"
    runtimes, count = survey.config.runtimes, survey.cpu_count
    if not runtimes:
        return Finding(name=name, status=SKIP, seen="no runtimes are configured", why=why)
    wanted = sum(cpus_of(runtime) for runtime in runtimes)
    seen = f"{wanted} for {len(runtimes)} runtimes, of {count}"
    if wanted <= count:
        return Finding(name=name, status=OK, seen=seen, why=why)
    mend = f"${{EDITOR:-vi}} {survey.config.path}  # give the runtimes fewer CPUs"
    return Finding(name=name, status=WARN, seen=seen, why=why, mend=mend)


def _find_group(survey: Survey, group: str) -> tuple[int | None, tuple[str, ...]]:
    for line in survey.read("/etc/group").splitlines():
        fields = line.split(":")
        if fields[0] == group and len(fields) > 3 and fields[2].isdecimal():  # noqa: PLR2004
            return int(fields[2]), tuple(fields[3].split(","))
    return None, ()


def _primary_group(survey: Survey, user: str) -> int | None:
    for line in survey.read("/etc/passwd").splitlines():
        fields = line.split(":")
        if fields[0] == user and len(fields) > 3 and fields[3].isdecimal():  # noqa: PLR2004
            return int(fields[3])
    return None


def _is_node(name: str) -> bool:
    return name.startswith("node") and name[4:].isdigit()
