"""Look whether an environment has what its packages say."""

from __future__ import annotations

import glob
import json
import os
import re

from launcher.bundle.model import CONDA, CONDA_SUFFIXES, PYPI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.bundle.installed import Installed

READABLE = 0o644
UNIT = tuple[str, str, str]  # kind, name, file


def prefix_of(root: str, environment: str) -> str:
    """Return the prefix of an environment of the project in `root`."""
    return os.path.join(root, ".pixi", "envs", environment)


def find_gaps(prefix: str, packages: Iterable[UNIT], *, files: bool = True) -> tuple[str, ...]:
    """Return what an environment lacks; with `files`, every file of its packages is looked for."""
    gaps: list[str] = []
    for kind, name, file in packages:
        if kind == CONDA:
            gaps += _conda_gaps(prefix, file, files=files)
        elif kind == PYPI and not _has_distribution(prefix, name):
            gaps.append(f"the package '{name}'")
    return tuple(gaps)


def _conda_gaps(prefix: str, file: str, *, files: bool) -> list[str]:
    stem = os.path.basename(file)
    for suffix in CONDA_SUFFIXES:
        stem = stem.removesuffix(suffix)
    path = os.path.join(prefix, "conda-meta", f"{stem}.json")
    if not files:
        return [] if os.path.exists(path) else [f"the package '{stem}'"]
    try:
        with open(path, encoding="utf-8") as source:
            names = json.load(source)["files"]
    except (OSError, ValueError, KeyError):
        return [f"the package '{stem}'"]
    return [
        f"'{name}' of '{stem}'" for name in names if not os.path.lexists(os.path.join(prefix, name))
    ]


def _has_distribution(prefix: str, name: str) -> bool:
    pattern = os.path.join(glob.escape(prefix), "lib", "python*", "site-packages", "*.dist-info")
    wanted = _normalised(name)
    return any(
        _normalised(os.path.basename(path).split("-")[0]) == wanted for path in glob.glob(pattern)
    )


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def open_to_all(prefix: str) -> None:
    """Let every user read what was installed; py-rattler and pixi keep that to the owner."""
    folder = os.path.join(prefix, "conda-meta")
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if os.path.isfile(path) and not os.path.islink(path):
            os.chmod(path, os.stat(path).st_mode | READABLE)


def is_whole(installed: Installed, root: str) -> bool:
    """Tell whether all packages of a record are there, by their names: a quick look."""
    return all(
        not find_gaps(
            prefix_of(root, environment),
            [(p.kind, p.name, p.file) for p in installed.packages if p.environment == environment],
            files=False,
        )
        and os.path.isdir(prefix_of(root, environment))
        for environment in installed.environments
    )
