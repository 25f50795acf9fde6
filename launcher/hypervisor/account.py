"""Who runs this: the user's name and home, for the defaults that depend on them."""

from __future__ import annotations

import grp
import os
import pwd

from launcher.errors import HostError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


@record
class Account:
    """The effective user of this process. A user that is in no database is named by its number."""

    user: str
    uid: int
    gids: tuple[int, ...]  # the primary one first; what counts for access, not what /etc/group says


def gather_account() -> Account:
    """Ask the system who we are."""
    uid, gid = os.geteuid(), os.getegid()
    others = tuple(each for each in sorted(os.getgroups()) if each != gid)
    return Account(user=_entry(uid)[0], uid=uid, gids=(gid, *others))


def with_home(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with `HOME` in it: systemd's system services start without one."""
    home = environ.get("HOME") or _entry(os.geteuid())[1]
    return {**environ, "HOME": home} if home else environ


def home_of_caller(environ: Mapping[str, str]) -> str:
    """Return the home of who called us by sudo; empty where nobody has."""
    try:
        return pwd.getpwnam(environ.get("SUDO_USER", "")).pw_dir
    except KeyError:
        return ""


def find_owner(user: str) -> tuple[tuple[int, int], str]:
    """Return the numbers of a user and of its group, and its home.

    Raises:
        HostError: this host has no such user.
    """
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        create = f"create it by 'useradd --create-home {user}', or "
        raise HostError(
            f"this host has no user '{user}'",
            f"{'' if user.isdecimal() else create}set another as global.user",
        ) from None
    return (entry.pw_uid, entry.pw_gid), entry.pw_dir


def has_group(name: str) -> bool:
    """Tell whether this host has a group."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _entry(uid: int) -> tuple[str, str]:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return str(uid), ""
    return entry.pw_name, entry.pw_dir
