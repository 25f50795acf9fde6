"""Where a launcher and its clients meet: the folder and name of the control socket, TCP too."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import time

from launcher.errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "vllmd.sock"
LONGEST_PATH = 107  # bytes of a socket's path, without the closing NUL (unix(7))
BACKLOG = 512
LOCK_TRIES = 50
LOCK_PAUSE_S = 0.01


class Meeting:
    """A listening socket, its path, and a word for the user where it is not the usual one."""

    def __init__(self, listener: socket.socket, path: str, word: str = "") -> None:
        self.listener = listener
        self.path = path
        self.word = word
        self._inode = os.lstat(path).st_ino

    def close(self) -> None:
        """Stop listening, and remove the socket unless another has taken its place."""
        self.listener.close()
        try:
            if os.lstat(self.path).st_ino == self._inode:
                os.unlink(self.path)
        except OSError:
            return  # somebody was faster


def list_folders(environ: Mapping[str, str], uid: int) -> list[str]:
    """Return the folders where a user's launchers have their sockets, the best first."""
    runtime = environ.get("XDG_RUNTIME_DIR", "").rstrip("/")
    own = [f"{runtime}/vllmd"] if runtime.startswith("/") else []
    return [*own, "/run/vllmd", f"/tmp/vllmd-{uid}"]  # noqa: S108  (made 0700, its owner checked)


def meet(wanted: str, environ: Mapping[str, str]) -> Meeting:
    """Listen on the wanted path; without one, in the first folder that can be used.

    Raises:
        StartError: no socket can be made; the message says why.
    """
    if wanted:
        return _meet_at(wanted)
    reasons = []
    for folder in list_folders(environ, os.geteuid()):
        try:
            _prepare(folder)
            return _meet_in(folder)
        except OSError as error:
            reasons.append(f"{folder}: {(error.strerror or str(error)).lower()}")
    raise StartError("; ".join(reasons), 'set [master] control_socket = "/path"')


def listen_tcp(host: str, port: int) -> socket.socket:
    """Listen on a TCP address.

    Raises:
        OSError: it is in use, or no address of this machine.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)  # noqa: FBT003
    except OSError:
        listener.close()
        raise
    return listener


def is_alive(path: str) -> bool:
    """Tell whether somebody listens on a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # noqa: FBT003
        try:
            code = probe.connect_ex(path)
        except OSError:
            return False  # the path is too long
        return code in {0, errno.EAGAIN, errno.EINPROGRESS}


def _meet_at(path: str) -> Meeting:
    try:
        found = _listen(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"{path}: {reason}", "give another control_socket") from None
    if found is None:
        raise StartError(f"{path}: another launcher has it", "give another control_socket")
    return Meeting(found, path)


def _meet_in(folder: str) -> Meeting:
    path = f"{folder}/{NAME}"
    _sweep(folder)
    found = _listen(path)
    if found is not None:
        return Meeting(found, path)
    own = f"{folder}/vllmd-{os.getpid()}.sock"
    found = _listen(own)
    if found is None:
        raise OSError(errno.EADDRINUSE, f"{own} is in use")
    return Meeting(found, own, f"another launcher has {path}: this one is reached at {own}")


def _sweep(folder: str) -> None:
    """Remove what launchers that were killed have left; `NAME` itself is taken over instead."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(lock)  # nobody is between making a socket and listening on it
        for name in os.listdir(folder):
            path = f"{folder}/{name}"
            if name.startswith("vllmd-") and name.endswith(".sock") and not is_alive(path):
                os.unlink(path)
    finally:
        os.close(lock)


def _prepare(folder: str) -> None:
    """Make the folder ours, 0700; one that exists has to be, and nobody else may write in it."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise OSError(errno.EPERM, "not a folder of this user") from None
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise OSError(errno.EPERM, "others may write in it") from None


def _listen(path: str) -> socket.socket | None:
    """Listen on a path, taking it over from a launcher that is dead; None: it is in use.

    Raises:
        OSError: it cannot be done.
    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, f"longer than {LONGEST_PATH} bytes")
    lock = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(lock)  # else two launchers could take the same dead one's path
        if os.path.lexists(path):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise OSError(errno.EEXIST, "something that is no socket is there")
            if is_alive(path):
                return None
            os.unlink(path)
        return _bind(path)
    finally:
        os.close(lock)


def _lock(descriptor: int) -> None:
    """Lock a folder, unless its holder keeps it for longer than any sane one would."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(LOCK_PAUSE_S)
        else:
            return


def _bind(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    former = os.umask(0o177)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
        listener.setblocking(False)  # noqa: FBT003
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(former)
    return listener
