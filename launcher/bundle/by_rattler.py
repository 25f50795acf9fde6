"""Install packages by py-rattler: pixi's own library, without pixi."""

from __future__ import annotations

import asyncio
import errno
import json
import os

from rattler import LockFile, Subdir, __version__, exceptions
from rattler.config import Config
from rattler.install import InstallerReporter, install

from launcher.bundle.errors import BundleError
from launcher.bundle.model import MANIFESTS, PYPI, SOURCE
from launcher.bundle.wheels import install_wheels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.bundle.model import Target
    from launcher.bundle.progress import Progress

NAME = f"py-rattler {__version__}"
FULL = "(os error 28)"
LOCAL = "file://"
# py-rattler makes an HTTP client also where nothing is fetched (all records are local files, see
# `_require_local`), and panics where the machine has no certificates, as slim images have none.
OFFLINE = "tls-no-verify = true"
# Which pixi makes beside `envs` where they are missing.
OWN_FILES = {".gitignore": "*\n!config.toml\n", ".condapackageignore": "*\n"}
FAILURES = (
    exceptions.InstallerError,
    exceptions.TransactionError,
    exceptions.LinkError,
    exceptions.ExtractError,
    exceptions.IoError,
    exceptions.ParseCondaLockError,
    exceptions.ConversionError,
)


class _Reporter(InstallerReporter):
    """Counts two steps for each package: it is unpacked, and it is linked into the prefix."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._total = self._done = 0

    def on_transaction_start(self, total_operations: int) -> None:
        self._total = 2 * total_operations

    def on_populate_cache_complete(self, cache_entry: int) -> None:  # noqa: ARG002  (theirs)
        self._step()

    def on_link_complete(self, index: int) -> None:  # noqa: ARG002  (theirs)
        self._step()

    def _step(self) -> None:
        self._done += 1
        self._progress.count_done(self._done, self._total)


def install_environment(target: Target, progress: Progress) -> None:
    """Install an environment as its project's lock says.

    Raises:
        BundleError: a package cannot be installed.
        OSError: the disk is full.
    """
    built = next((each for each in target.packages if each.kind == SOURCE), None)
    if built is not None:
        raise BundleError(
            f"'{built.name}' is built from source, which only pixi can",
            "put a pixi from its own releases on PATH, or its package into the bundle",
        )
    try:
        asyncio.run(_install(target, _Reporter(progress)))  # type: ignore[abstract]  # its own are empty
    except FAILURES as error:
        if FULL in str(error):
            raise OSError(errno.ENOSPC, "no space left on device", target.root) from None
        raise BundleError(
            f"py-rattler cannot install the bundle: {_flat(error)}", "make the bundle again"
        ) from None
    wheels = [each for each in target.packages if each.kind == PYPI]
    install_wheels(target.root, target.prefix(), wheels)
    _write_marker(target)


async def _install(target: Target, reporter: _Reporter) -> None:
    lock = LockFile.from_path(os.path.join(target.root, "pixi.lock"))  # type: ignore[arg-type]
    found = lock.environment(target.environment)
    platforms = found.platforms() if found is not None else []
    ours = next(each for each in platforms if each.name == target.platform)
    records = found.conda_repodata_records_for_platform(ours) if found is not None else None
    _require_local([each.url for each in records or ()])
    await install(
        records=records or [],
        target_prefix=target.prefix(),
        cache_dir=target.cache,  # type: ignore[arg-type]
        installed_packages=[],
        platform=Subdir(target.platform),
        execute_link_scripts=False,
        reporter=reporter,
        config=Config.from_toml(OFFLINE),
    )


def _require_local(addresses: Iterable[str]) -> None:
    for address in addresses:
        if not address.startswith(LOCAL):
            raise BundleError(f"'{address}' is no file of the bundle", "make the bundle again")


def _flat(error: Exception) -> str:
    return " ".join(str(error).split())


def _write_marker(target: Target) -> None:
    """Leave what pixi leaves: whose environment it is."""
    manifests = (os.path.join(target.root, name) for name in MANIFESTS)
    marker = {
        "manifest_path": next(path for path in manifests if os.path.exists(path)),
        "environment_name": target.environment,
        "pixi_version": "",
        "environment_lock_file_hash": "",
    }
    folder = os.path.join(target.prefix(), "conda-meta")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "pixi"), "w", encoding="utf-8") as file:
        json.dump(marker, file)
    for name, text in OWN_FILES.items():
        with open(os.path.join(target.root, ".pixi", name), "w", encoding="utf-8") as file:
            file.write(text)
