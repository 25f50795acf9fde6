"""`vllmd start NAME`: start an instance that is stopped or has failed."""

from __future__ import annotations

from launcher.cli.orders import give

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Give the order.

    Raises:
        LauncherError: no launcher runs, or it refuses.
    """
    return give("start", argv, environ)
