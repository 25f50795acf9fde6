"""`vllmd-hypervisor start` on a machine where KVM is said to work: for a VMM that needs none."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from launcher.cli.hypervisor import start
from launcher.errors import LauncherError
from launcher.hypervisor.backends import gather_tools
from launcher.hypervisor.kvm import KvmState
from launcher.output import print_error
from launcher.record import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.hypervisor.choose import Tools
    from launcher.hypervisor.model import VmSpec


def gather(spec: VmSpec, environ: Mapping[str, str]) -> Tools:
    """Look at this machine, and believe in its KVM."""
    return replace(gather_tools(spec, environ), kvm=KvmState(works=True))


if __name__ == "__main__":
    try:
        code = start.main(sys.argv[1:], os.environ, gather)
    except LauncherError as error:
        print_error(error)
        code = error.exit_code
    sys.exit(code)
