"""The folders of a project: each installation has its own, and a link says which one counts.

    DIR/.vllmd/3/               a generation: manifest, lock, channel, .pixi/envs/ENV, the record
    DIR/.vllmd/current -> 3     which one counts
    DIR/pixi.toml -> .vllmd/current/pixi.toml, and so on for each entry of a generation

Conda bakes the prefix into files, so an environment can be built in one place only: where it will
stay. It is built in a new generation, under its final path, and counts from the moment that
`current` is replaced, which is one rename(2). Until then, whatever happens, the former generation
is what it was. It stays for the servers that still run from it, until the next installation begins.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil

from launcher.bundle.installed import parse_installed
from launcher.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.bundle.installed import Installed
    from launcher.bundle.progress import Progress

STATE = ".vllmd"
CURRENT = "current"
RECORD = "installed.json"
ENVIRONMENTS = ".pixi"
CACHE = ".cache"  # of packages, while they are installed
ADOPTED = "0"  # what was in the folder before its first generation
PRIVATE = (RECORD, CACHE)
RENAME_EXCHANGE = 2  # renameat2(2)
AT_FDCWD = -100
NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS)  # the file system or libc cannot


def generation_path(root: str, name: str) -> str:
    """Return the folder of a generation."""
    return os.path.join(root, STATE, name)


def find_current(root: str) -> str | None:
    """Return the name of the generation that counts."""
    try:
        return os.readlink(generation_path(root, CURRENT))
    except OSError:
        return None


def read_installed(root: str) -> Installed | None:
    """Return the record of what counts in a folder; None where nothing was installed."""
    try:
        with open(os.path.join(generation_path(root, CURRENT), RECORD), encoding="utf-8") as file:
            return parse_installed(file.read())
    except (OSError, UnicodeDecodeError):
        return None


@contextlib.contextmanager
def locked(root: str, progress: Progress) -> Iterator[int]:
    """Keep every other installation out of a folder, which is made; yield the lock's descriptor.

    Raises:
        HostError: the folder cannot be written.
    """
    state = os.path.join(root, STATE)
    try:
        os.makedirs(state, exist_ok=True)
        descriptor = os.open(
            os.path.join(state, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
    except OSError as error:
        raise unwritable(root, error) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"another installation into '{root}' is under way: waiting for its end")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def unwritable(root: str, error: OSError) -> HostError:
    """Return the error of a folder that cannot be written."""
    reason = (error.strerror or str(error)).lower()
    return HostError(
        f"the folder '{root}' cannot be written: {reason}",
        "mount a volume there that this user can write, or name another folder",
    )


def prune(root: str, keep: set[str]) -> None:
    """Remove every generation but these: what a killed installation left, and old ones."""
    for name in os.listdir(os.path.join(root, STATE)):
        path = generation_path(root, name)
        if name.isdigit() and name not in keep and not os.path.islink(path):
            shutil.rmtree(path)
        elif name.startswith("link."):  # half a switch: a link, or what it has taken the place of
            _remove(path)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def make_generation(root: str) -> str:
    """Make the folder of a new generation; return its name."""
    numbers = [int(name) for name in os.listdir(os.path.join(root, STATE)) if name.isdigit()]
    name = str(max(numbers, default=0) + 1)
    os.mkdir(generation_path(root, name))
    return name


def switch(root: str, name: str) -> None:
    """Make a generation count; it takes no time, and should not be disturbed.

    Raises:
        HostError: what is in the folder cannot be moved out of the way; all is as it was.
    """
    former = find_current(root)
    _point(root, name)
    try:
        for entry in _entries(root, name):
            _link(root, entry)
    except OSError as error:
        if former is not None:
            _point(root, former)
        else:
            os.unlink(generation_path(root, CURRENT))
        raise _cannot_adopt(root, error) from None
    for entry in os.listdir(root):  # what the former generation had, and this one has not
        path = os.path.join(root, entry)
        if (
            os.path.islink(path)
            and os.readlink(path) == _target(entry)
            and not os.path.exists(path)
        ):
            os.unlink(path)


def is_linked(root: str) -> bool:
    """Tell whether every entry of the generation that counts is what the folder shows."""
    name = find_current(root)
    return name is not None and all(
        os.path.islink(path) and os.readlink(path) == _target(entry)
        for entry in _entries(root, name)
        for path in [os.path.join(root, entry)]
    )


def _entries(root: str, name: str) -> list[str]:
    """Return what a folder shows of a generation: the environments first, they matter most."""
    entries = [each for each in os.listdir(generation_path(root, name)) if each not in PRIVATE]
    return sorted(entries, key=lambda each: (each != ENVIRONMENTS, each))


def _target(entry: str) -> str:
    return os.path.join(STATE, CURRENT, entry)


def _point(root: str, name: str) -> None:
    new = generation_path(root, "link.current")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    os.symlink(name, new)
    os.replace(new, generation_path(root, CURRENT))


def _link(root: str, entry: str) -> None:
    path = os.path.join(root, entry)
    if os.path.islink(path) and os.readlink(path) == _target(entry):
        return
    new = generation_path(root, f"link.{entry}")
    os.symlink(_target(entry), new)
    if not os.path.lexists(path):
        os.rename(new, path)
        return
    former = generation_path(root, ADOPTED)
    os.makedirs(former, exist_ok=True)
    try:
        _exchange(new, path)
    except OSError as error:
        if error.errno not in NO_EXCHANGE:
            os.unlink(new)
            with contextlib.suppress(OSError):
                os.rmdir(former)
            raise
        os.rename(path, os.path.join(former, entry))
        os.rename(new, path)
    else:
        os.rename(new, os.path.join(former, entry))


def _exchange(one: str, other: str) -> None:
    """Exchange two paths at once, whatever they are (renameat2(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), other)
    words = (AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    if libc.renameat2(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), other)


def _cannot_adopt(root: str, error: OSError) -> HostError:
    name = os.path.basename(error.filename or "")
    reason = (error.strerror or str(error)).lower()
    hint = (
        "make room"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}
        else (
            "install into an empty folder: what is mounted, or belongs to an image, cannot be moved"
        )
    )
    return HostError(f"'{name}' in '{root}' cannot be replaced: {reason}", hint)


def sync(root: str) -> None:
    """Have the disk keep what was written, before it counts."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    finally:
        os.close(descriptor)
