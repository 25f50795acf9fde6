"""Read the catalogue's files, which lie beside this module. Nothing else here touches the disk."""

from __future__ import annotations

import os

from launcher.server.catalogue.lookup import Catalogue, open_catalogue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.abc import FileLoader

    __loader__: FileLoader

FOLDER = os.path.join(os.path.dirname(__file__), "data")


def load_catalogue(version: str = "") -> Catalogue:
    """Load the options of a version of vLLM; without one, those of the newest release known."""
    return open_catalogue(read_data("options"), version)


def load_environment() -> str:
    """Read the names of vLLM's environment variables, for `environment.py`."""
    return read_data("environment")


def load_help() -> str:
    """Read what the options mean, for `texts.py`. Only `explain` and `schema` need it."""
    return read_data("help")


def read_data(name: str) -> str:
    """Read one data file, with a newline before, so that every line starts after one."""
    # By the loader, as they may lie in an archive (`make dist`); for a folder it opens the file.
    data = __loader__.get_data(os.path.join(FOLDER, name + ".tsv"))
    return "\n" + data.decode("utf-8")
