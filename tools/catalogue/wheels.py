"""Fetch wheels of vLLM and unpack their Python sources."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# A wheel for any of these will do: nothing compiled in it is ever loaded.
PLATFORMS = ("manylinux_2_35", "manylinux_2_31", "manylinux_2_28", "manylinux_2_24")
OLD_PLATFORMS = ("manylinux_2_17", "manylinux2014", "manylinux1")
PYTHONS = ("3.12", "3.11", "3.10")


def fetch_sources(distribution: str, version: str, cache: Path) -> tuple[Path, str]:
    """Return the folder with a release's Python sources and the name of the wheel they are from.

    Raises:
        LookupError: the package index has no wheel of this version that we could use.
    """
    target = cache / version
    stamp = target / "WHEEL-NAME"
    if not stamp.exists():
        wheel = _download(distribution, version, cache / "wheels")
        _unpack(wheel, target)
        stamp.write_text(wheel.name)
        wheel.unlink()  # the newest are over 300 MB
    return target, stamp.read_text()


def _download(distribution: str, version: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pattern = f"{distribution.replace('-', '_')}-{version}-*.whl"
    for python in PYTHONS:
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
        subprocess.run(_pip(distribution, version, python, folder), check=False)
    found = sorted(folder.glob(pattern))
    if found:
        return found[0]
    raise LookupError(f"no wheel of {distribution} {version}")


def _pip(distribution: str, version: str, python: str, folder: Path) -> list[str]:
    platforms = [f"--platform={name}_x86_64" for name in (*PLATFORMS, *OLD_PLATFORMS)]
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--only-binary=:all:", f"--python-version={python}", *platforms),
        *("--dest", str(folder), f"{distribution}=={version}"),
    ]


def _unpack(wheel: Path, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        wanted = [name for name in archive.namelist() if _is_source(name)]
        archive.extractall(target, wanted)


def _is_source(name: str) -> bool:
    return name.endswith(".py") or ".dist-info/" in name
