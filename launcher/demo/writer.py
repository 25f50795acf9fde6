"""Write the demo model into a directory, and never over anything else."""

from __future__ import annotations

import contextlib
import os
import tempfile

from launcher.demo.content import render_demo_model
from launcher.errors import HostError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_CHOOSE = "name a directory that is empty or does not exist yet"


def write_demo_model(directory: str) -> tuple[str, ...]:
    """Write what is missing of the demo model; the names written, none if all was there.

    Raises:
        UsageError: `directory` is a file, or holds anything but the demo model's own files
            (hidden files do not count).
        HostError: the operating system does not let us look or write.
    """
    if not directory:
        raise UsageError("the directory for the demo model has no name", _CHOOSE)
    files = render_demo_model()
    try:
        os.makedirs(directory, exist_ok=True)
        present = _require_ours(directory, files)
        missing = tuple(name for name in files if name not in present)
        for name in missing:
            _write_file(directory, name, files[name])
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"'{error.filename}' is not a directory", _CHOOSE) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise HostError(
            f"cannot write the demo model to '{directory}': {reason}",
            "name a directory that you may write to",
        ) from error
    return missing


def _require_ours(directory: str, files: Mapping[str, bytes]) -> frozenset[str]:
    """Return which of the files are there; raise UsageError if anything else is."""
    names = sorted(name for name in os.listdir(directory) if not name.startswith("."))
    for name in names:
        path = os.path.join(directory, name)
        if name not in files or not _holds(path, files[name]):
            raise UsageError(f"'{path}' is not part of the demo model", _CHOOSE)
    return frozenset(names)


def _holds(path: str, content: bytes) -> bool:
    # The size first: somebody else's weights are not read, and a pipe is not opened.
    if not os.path.isfile(path) or os.path.getsize(path) != len(content):
        return False
    with open(path, "rb") as file:
        return file.read() == content


def _write_file(directory: str, name: str, content: bytes) -> None:
    """Put the whole file in place or nothing: write under a hidden name, then rename."""
    descriptor, hidden = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, 0o644)  # a server of another user may read it
        os.rename(hidden, os.path.join(directory, name))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(hidden)
        raise
