"""A bundle that cannot be installed."""

from __future__ import annotations

from launcher.errors import EX_CONFIG, LauncherError


class BundleError(LauncherError):
    """The bundle is broken, is not what its checksums say, or is for something else."""

    exit_code = EX_CONFIG


class Stopped(LauncherError):  # noqa: N818  (nobody's mistake)
    """Somebody has asked us to stop, by this signal; everything is as it was before."""

    def __init__(self, number: int) -> None:
        super().__init__("stopped; the environment is as it was before")
        self.exit_code = 128 + number
