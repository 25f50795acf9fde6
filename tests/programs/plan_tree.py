"""Run `vllmd-hypervisor initialize --dry-run` for a machine whose `/sys` and `/dev` are a tree.

The network is that of the namespace in which it runs.
"""

from __future__ import annotations

import os
import sys

from launcher.cli.hypervisor.initialize import initialize
from launcher.cli.hypervisor.telling import Teller
from launcher.hypervisor.host.deeds import Machine
from launcher.hypervisor.host.loading import load_host

root = sys.argv[1]
machine = Machine(sysfs=f"{root}/sys", devices=f"{root}/dev")
sys.exit(initialize(load_host(os.environ), machine, Teller(level="INFO"), dry_run=True))
