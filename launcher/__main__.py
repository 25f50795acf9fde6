"""`python -m launcher` is `vllmd`."""

from __future__ import annotations

from launcher.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
