"""Which vLLM an interpreter has, read from its folders: importing vLLM takes seconds."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def find_vllm(python: str, environ: Mapping[str, str]) -> str | None:
    """Return the version of the vLLM that an interpreter would import, or None."""
    for folder in _site_folders(python, environ):
        version = _version_in(folder)
        if version is not None:
            return version
    return None


def _site_folders(python: str, environ: Mapping[str, str]) -> list[str]:
    prefix = os.path.dirname(os.path.dirname(python))
    real = os.path.dirname(os.path.dirname(os.path.realpath(python)))
    folders = [folder for folder in environ.get("PYTHONPATH", "").split(":") if folder]
    for root in dict.fromkeys((prefix, real)):
        library = os.path.join(root, "lib")
        for name in _names(library):
            if name.startswith("python3"):
                folders.append(os.path.join(library, name, "site-packages"))
                folders.append(os.path.join(library, name, "dist-packages"))
    return folders


def _version_in(folder: str) -> str | None:
    for name in _names(folder):
        if name.startswith(("vllm-", "vllm_")) and name.endswith(".dist-info"):
            return name.removesuffix(".dist-info").split("-", 1)[1]
    return None


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
