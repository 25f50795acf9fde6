"""The run directory of a guest: its lock, its state and its sockets, for its user's eyes only."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat

from launcher.errors import HostError
from launcher.hypervisor.files import write_atomic
from launcher.hypervisor.state import parse_state, render_state
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.hypervisor.state import GuestState

FOLDER = "vllmd-hypervisor"
SYSTEM_BASE = f"/run/{FOLDER}"
STATE, LOCK, GUEST, STOPPING = "state.json", "lock", "guest.json", "stopping"
ASKED, FORCED = b"asked\n", b"forced\n"  # what `stopping` holds, once `stop` is at it
CONSOLE_LOG, PIDFILE = "console.log", "vmm.pid"
CONSOLE, REPORT, MONITOR, CONTROL = "console.sock", "report.sock", "monitor.sock", "control.sock"
API, VSOCK, EVENTS = "api.sock", "vsock.sock", "events"
LONGEST = "vsock.sock_0000"  # with the port that reports come to
SOCKET_PATH_BYTES = 107  # sun_path of unix(7), less its NUL
LARGEST_FILE = 1 << 20  # bytes; ours are far smaller


@record
class RunDir:
    """Where one guest's files are."""

    path: str

    def file(self, name: str) -> str:
        """Return the path of a file in it."""
        return f"{self.path}/{name}"

    def read(self, name: str) -> bytes:
        """Return the content of a file; empty where there is none, or one that is not ours."""
        # Root may look at a guest of somebody else, who may put there what he likes.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with open(os.open(self.file(name), flags), "rb") as file:
                is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                return file.read(LARGEST_FILE) if is_file else b""
        except OSError:
            return b""

    def find_state(self) -> GuestState | None:
        """Return what `start` wrote down, None where it has not, or has tidied up."""
        return parse_state(self.read(STATE))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all; it need not outlive a crash of the machine."""
        write_atomic(self.file(name), content, is_durable=False)

    def write_state(self, state: GuestState) -> None:
        """Write down how the guest is."""
        self.write(STATE, render_state(state))

    def remove(self, *names: str) -> None:
        """Remove files; those that are not there need not be."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.file(name))


def find_rundirs(name: str, environ: Mapping[str, str]) -> list[RunDir]:
    """Return where a guest's files may be, the place where `start` would put them first.

    systemd's RUNTIME_DIRECTORY is a unit's own; it may be named after the guest already.
    """
    found = []
    own = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if own:
        found.append(own if os.path.basename(own) == name else f"{own}/{name}")
    session = environ.get("XDG_RUNTIME_DIR", "")
    if session:
        found.append(f"{session}/{FOLDER}/{name}")
    elif os.geteuid() != 0 and not own:
        found.append(f"/run/user/{os.geteuid()}/{FOLDER}/{name}")
    found.append(f"{SYSTEM_BASE}/{name}")
    return [RunDir(path=os.path.abspath(path)) for path in dict.fromkeys(found)]


def find_rundir(name: str, environ: Mapping[str, str]) -> RunDir:
    """Return where a guest's files are: the first place that has any, else where they would be."""
    places = find_rundirs(name, environ)
    found = (each for each in places if os.path.exists(each.file(STATE)) or is_hidden(each))
    return next(found, places[0])


def is_hidden(rundir: RunDir) -> bool:
    """Tell whether there is a guest of somebody else, which is not for our eyes."""
    return os.path.isdir(rundir.path) and not os.access(rundir.path, os.R_OK | os.X_OK)


def is_too_long(rundir: RunDir) -> bool:
    """Tell whether a socket in it would have a longer path than a UNIX socket may have."""
    return len(os.fsencode(rundir.file(LONGEST))) > SOCKET_PATH_BYTES


def make_rundir(rundir: RunDir) -> None:
    """Make the folder, for this user alone.

    Raises:
        HostError: it cannot be made, or belongs to somebody else.
    """
    hint = "set XDG_RUNTIME_DIR to a folder of yours"
    parent = os.path.dirname(rundir.path)
    try:
        os.makedirs(parent, mode=0o755, exist_ok=True)
        above = os.stat(parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(rundir.path, 0o700)
        found = os.lstat(rundir.path)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise HostError(
            f"the run directory '{rundir.path}' cannot be made: {reason}", hint
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise HostError(f"the run directory '{rundir.path}' belongs to somebody else", hint)
    is_shared = above.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH
    if is_shared or above.st_uid not in {0, os.geteuid()}:
        # Whoever can rename the run directory can put another in its place.
        raise HostError(f"somebody else may write to '{parent}'", hint)
    os.chmod(rundir.path, 0o700)


class Lock:
    """The lock of a guest: held by its supervisor, or by who tidies up after one."""

    def __init__(self, rundir: RunDir) -> None:
        self._rundir = rundir
        self._descriptor = -1

    def acquire(self) -> bool:
        """Take the lock, unless somebody holds it. The folder has to be there."""
        path = self._rundir.file(LOCK)
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            try:
                descriptor = os.open(path, flags, 0o600)
            except FileNotFoundError:
                return False  # the folder is being removed
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            if _is_same(descriptor, path):
                self._descriptor = descriptor
                return True
            os.close(descriptor)  # its former holder has removed it meanwhile

    def release(self) -> None:
        """Give the lock up and remove its file, and the folder if nothing is left in it."""
        if self._descriptor < 0:
            return
        self._rundir.remove(LOCK)
        os.close(self._descriptor)
        self._descriptor = -1
        with contextlib.suppress(OSError):  # a log is kept, or a systemd unit owns the folder
            os.rmdir(self._rundir.path)

    @property
    def held(self) -> bool:
        """Tell whether this process holds the lock."""
        return self._descriptor >= 0

    def forget(self) -> None:
        """Close our copy of the descriptor: a forked child goes on holding the lock."""
        os.close(self._descriptor)
        self._descriptor = -1


def _is_same(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def sweep(rundir: RunDir) -> None:
    """Remove what a guest leaves behind, state last. The caller holds the lock.

    Its console log stays, to be read afterwards. A socket that still answers is left alone.
    """
    try:
        names = os.listdir(rundir.path)
    except OSError:
        return
    for name in names:
        path = rundir.file(name)
        if name in {STATE, LOCK} or name.startswith(CONSOLE_LOG):
            continue
        if is_answered(path):
            continue
        rundir.remove(name)
    rundir.remove(STATE)


def is_answered(path: str) -> bool:
    """Tell whether somebody listens on a UNIX socket: a file that nobody listens on is stale.

    What is no socket, or has gone, does not answer either.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)  # noqa: FBT003
        try:
            client.connect(path)
        except OSError as error:
            # EAGAIN: it listens, and too many are waiting already.
            return error.errno in {errno.EAGAIN, errno.EINPROGRESS}
        return True
