"""What `initialize` can do to a host, a record each: how to say it, do it, and take it back.

A deed that was done is written to the journal, with what the host was like before; undoing it
never takes back more. `perform` returns the deed as it is to be written down.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Protocol

from launcher.errors import HostError
from launcher.record import record


class Deed(Protocol):
    """One change to the host."""

    @property
    def volatile(self) -> bool:
        """Tell whether it is gone after a reboot."""

    def say(self) -> str:
        """Say what is done, as in "create the bridge 'vllmd-br0'"."""

    def perform(self, machine: Machine) -> Deed:
        """Do it; return it with what was found out, for the journal.

        Raises:
            HostError: it is not possible; nothing was changed.
        """

    def undo(self, machine: Machine) -> str:
        """Take it back; return what was done, empty where nothing was left of it.

        Raises:
            HostError: it is not possible now.
        """


@record
class Machine:
    """Where the kernel shows and takes settings: `/sys`, `/proc` and `/dev`, or trees like them.

    `bind_limit_s` is for a driver that is asked to take a device: most take milliseconds.
    """

    sysfs: str = "/sys"
    procfs: str = "/proc"
    devices: str = "/dev"
    bind_limit_s: float = 10.0

    def boot_id(self) -> str:
        """Return what differs after each boot (random(4))."""
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()


def write_setting(path: str, text: str) -> None:
    """Write to a file of the kernel's.

    Raises:
        HostError: the kernel refuses the value, or us.
    """
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        hint = "run it as root" if isinstance(error, PermissionError) else ""
        reason = (error.strerror or str(error)).lower()
        raise HostError(f"'{path}' does not take '{text.strip()}': {reason}", hint) from None


def give_away(path: str, owner: tuple[int, int] | None, mode: int) -> None:
    """Set owner (None: leave it) and mode of what is at a path, whatever it comes to mean next.

    The path may be in a folder of the guests' user, who could put a link in its place.

    Raises:
        OSError: it is a link, or belongs to somebody else.
    """
    # Opened as a place only: to open a device for reading or writing would be more than a look.
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISLNK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        place = f"/proc/self/fd/{descriptor}"
        if owner is not None:
            os.chown(place, *owner)
        os.chmod(place, mode)
    finally:
        os.close(descriptor)


@record
class MakeFolder:
    """A folder of the guests' user, for it alone."""

    path: str
    uid: int
    gid: int
    mode: int = 0o700

    volatile = False

    def say(self) -> str:
        """Say what is done."""
        return f"make the folder '{self.path}', mode {self.mode:04o}"

    def perform(self, machine: Machine) -> MakeFolder:
        """Make it; those above it are there, or were planned before.

        One that has appeared since is left as it is: it may be that of another run.

        Raises:
            HostError: it cannot be made.
        """
        del machine
        try:
            os.mkdir(self.path, self.mode)
            owner = (self.uid, self.gid) if os.geteuid() == 0 else None
            give_away(self.path, owner, self.mode)
        except FileExistsError:
            pass
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise HostError(f"the folder '{self.path}' cannot be made: {reason}") from None
        return self

    def undo(self, machine: Machine) -> str:
        """Remove it, unless somebody has put something in."""
        del machine
        try:
            os.rmdir(self.path)
        except OSError:
            return ""
        return f"removed the folder '{self.path}'"


@record
class GiveFile:
    """A file or folder that is there gets another owner and mode. `former` is as in `wanted`."""

    path: str
    uid: int
    gid: int
    mode: int
    former: tuple[int, int, int] = (0, 0, 0)
    volatile: bool = False

    def say(self) -> str:
        """Say what is done."""
        return f"give '{self.path}' to the user {self.uid}, mode {self.mode:04o}"

    def perform(self, machine: Machine) -> GiveFile:
        """Change owner and mode.

        Raises:
            HostError: it cannot be changed.
        """
        del machine
        self._set(self.uid, self.gid, self.mode)
        return self

    def undo(self, machine: Machine) -> str:
        """Give it back, unless it is no longer as we have left it."""
        del machine
        try:
            found = os.lstat(self.path)
        except OSError:
            return ""
        now = (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))
        if now != (self.uid, self.gid, self.mode):
            return ""
        self._set(*self.former)
        return f"gave '{self.path}' back to the user {self.former[0]}"

    def _set(self, uid: int, gid: int, mode: int) -> None:
        try:
            give_away(self.path, (uid, gid), mode)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            hint = "run it as root" if isinstance(error, PermissionError) else ""
            raise HostError(f"'{self.path}' cannot be given away: {reason}", hint) from None


def plan_folders(
    paths: tuple[str, ...], ours: frozenset[str], uid: int, gid: int
) -> list[MakeFolder | GiveFile]:
    """Plan folders for a user; those of `ours` that are there become the user's alone.

    Raises:
        HostError: something else is in the place of a folder.
    """
    deeds: list[MakeFolder | GiveFile] = []
    planned: set[str] = set()
    for path in paths:
        missing = _missing(path)
        deeds += [MakeFolder(path=p, uid=uid, gid=gid) for p in missing if p not in planned]
        planned.update(missing)
        if missing or path not in ours:
            continue
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode):
            raise HostError(f"'{path}' is no folder", "move it away; a link is not followed")
        former = (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))
        if (former[0], former[2] & 0o077) != (uid, 0):
            deeds.append(GiveFile(path=path, uid=uid, gid=gid, mode=0o700, former=former))
    return deeds


def _missing(path: str) -> list[str]:
    """Return a folder and those above it that are not there, outermost first."""
    found: list[str] = []
    while path not in {"", "/"} and not os.path.lexists(path):
        found.append(path)
        path = os.path.dirname(path)
    return found[::-1]
