"""`vllmd stop NAME`: stop an instance, and leave it so."""

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
    return give("stop", argv, environ)
