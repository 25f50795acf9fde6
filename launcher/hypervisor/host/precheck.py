"""All checks of a host, in the order in which a person would mend what they find."""

from __future__ import annotations

from launcher.hypervisor.host.checks.cpu import (
    check_cpus,
    check_group,
    check_host,
    check_kvm,
    check_nested,
    check_virtualisation,
)
from launcher.hypervisor.host.checks.iommu import (
    check_amd_hole,
    check_gpus,
    check_iommu,
    check_modules,
)
from launcher.hypervisor.host.checks.memory import check_hugepages, check_memlock, check_memory
from launcher.hypervisor.host.checks.network import check_bridge, check_interface, check_taps
from launcher.hypervisor.host.checks.software import (
    check_cloud_hypervisor,
    check_disk,
    check_files,
    check_qemu,
    check_systemd,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.checks.survey import Survey
    from launcher.hypervisor.host.findings import Finding


def check_all(survey: Survey) -> tuple[Finding, ...]:
    """Run every check. Nothing is changed, and nothing is started but `--version` of programs."""
    return (
        check_host(survey),
        check_virtualisation(survey),
        check_kvm(survey),
        check_group(survey),
        check_nested(survey),
        check_iommu(survey),
        check_modules(survey),
        *check_gpus(survey),
        *check_amd_hole(survey),
        check_hugepages(survey),
        check_memlock(survey),
        check_memory(survey),
        check_cpus(survey),
        check_bridge(survey),
        check_interface(survey),
        check_taps(survey),
        check_cloud_hypervisor(survey),
        check_qemu(survey),
        *check_files(survey),
        check_disk(survey),
        check_systemd(survey),
    )
