"""`python -m launcher.cli.hypervisor` is `vllmd-hypervisor`."""

from __future__ import annotations

from launcher.cli.hypervisor.main import main

if __name__ == "__main__":
    raise SystemExit(main())
