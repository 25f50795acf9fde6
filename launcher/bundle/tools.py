"""What installs packages: pixi where there is one, else py-rattler."""

from __future__ import annotations

import importlib

from launcher.bundle import by_pixi
from launcher.bundle.apart import run_apart
from launcher.errors import HostError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

    from launcher.bundle.model import Target
    from launcher.bundle.progress import Progress

AUTO, PIXI, RATTLER = "auto", "pixi", "rattler"
EXTRA = "pip install 'vllmd[bundle]'"
LIBRARIES = {"rattler", "installer"}


@record
class Tools:
    """What there is to install packages with.

    `by` is AUTO, PIXI or RATTLER; `pixi` is the path of the pixi on PATH, or empty; `lock` is a
    descriptor that a pixi inherits.
    """

    by: str
    pixi: str
    lock: int
    environ: Mapping[str, str]

    def __repr__(self) -> str:
        """Show no environment."""
        return f"Tools({self.by})"


def install_packages(tools: Tools, targets: Iterable[Target], progress: Progress) -> str:
    """Install environments; return what has installed them, like `pixi 0.77.0`.

    Raises:
        HostError: nothing here installs packages.
        BundleError: a package cannot be installed.
        OSError: the disk is full.
    """
    version = _choose_pixi(tools, progress)
    if not version:
        return run_apart(lambda: _install_by_rattler(targets, progress))
    by = f"pixi {version}"
    for target in targets:
        _begin(target, by, progress)
        by_pixi.install_environment(tools.pixi, target, tools.environ, progress, tools.lock)
    return by


def _install_by_rattler(targets: Iterable[Target], progress: Progress) -> str:
    rattler = _load_rattler()
    for target in targets:
        _begin(target, rattler.NAME, progress)
        rattler.install_environment(target, progress)
    return str(rattler.NAME)


def _begin(target: Target, by: str, progress: Progress) -> None:
    count = len(target.packages)
    progress.begin(f"installing '{target.environment}' ({count} packages) by {by}")


def _choose_pixi(tools: Tools, progress: Progress) -> str:
    """Return the version of the pixi to use; empty for py-rattler."""
    if tools.by == RATTLER:
        return ""
    version = by_pixi.find_version(tools.pixi, tools.environ) if tools.pixi else None
    if version is not None:
        return version
    if tools.by == PIXI:
        what = f"'{tools.pixi}' is another program" if tools.pixi else "there is none on PATH"
        raise HostError(
            f"the bundle is to be installed by pixi, and {what}",
            "put a pixi from its own releases first on PATH, or leave --by out",
        )
    if tools.pixi:
        progress.say(f"warning: '{tools.pixi}' is not the package manager pixi: it is not used")
    return ""


def _load_rattler() -> ModuleType:
    """Return the module that uses py-rattler: 80 MB, which are there for those who want them."""
    try:
        return importlib.import_module("launcher.bundle.by_rattler")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in LIBRARIES:
            raise
        raise HostError(
            "there is neither pixi nor py-rattler to install packages with",
            f"{EXTRA}, or put a pixi from its own releases on PATH",
        ) from None
