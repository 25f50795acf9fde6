"""What of a tar is written, and where: nothing may leave the folder. Pure.

A bundle holds plain files and folders. Links, devices and the like have no place in one, so they
are refused, and with them every way to write through them. Owners and the set-id bits are not
taken over: what is written belongs to whoever unpacks it.
"""

from __future__ import annotations

from launcher.bundle.errors import BundleError
from launcher.bundle.model import CHANNEL_DIR
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FILE = "a file"
FOLDER = "a folder"
# Not taken: an environment does not survive being moved, and what is ours is not the bundle's.
LEFT_OUT = (".pixi", ".git", ".vllmd")
LONGEST_NAME = 255  # bytes of one part of a path, on every file system of Linux
REFUSED = "nothing was unpacked; make the bundle of plain files and folders"


@record
class Member:
    """One entry of a tar. `kind` is FILE, FOLDER or what else it is; `size` is in bytes."""

    name: str
    kind: str
    size: int = 0


def plan_members(members: Iterable[Member]) -> dict[str, str]:
    """Return where each file of a tar goes, by its name there; folders are made as needed.

    Where everything is in one folder, that folder is left out.

    Raises:
        BundleError: an entry is no file or folder, or would be written elsewhere or twice.
    """
    targets: dict[str, str] = {}
    files: set[str] = set()
    folders: set[str] = set()
    for member in members:
        path = _safe(member)
        if member.kind == FILE:
            if path in files:
                raise BundleError(f"'{path}' is in the bundle twice", REFUSED)
            files.add(path)
            targets[member.name] = path
            folders.update(_parents(path))
    clash = next(iter(sorted(files & folders)), None)
    if clash is not None:
        raise BundleError(f"'{clash}' is both a file and a folder in the bundle", REFUSED)
    return _without_wrapper(targets)


def _safe(member: Member) -> str:
    shown = member.name.encode("ascii", "backslashreplace").decode("ascii")
    if member.kind not in {FILE, FOLDER}:
        raise BundleError(f"'{shown}' in the bundle is {member.kind}", REFUSED)
    if member.name.startswith("/"):
        raise BundleError(f"'{shown}' in the bundle is an absolute path", REFUSED)
    parts = [part for part in member.name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise BundleError(f"'{shown}' in the bundle leads out of its folder", REFUSED)
    if any(not _is_name(part) for part in parts) or (not parts and member.kind == FILE):
        raise BundleError(f"'{shown}' in the bundle is no name for a file", REFUSED)
    return "/".join(parts)


def _is_name(part: str) -> bool:
    try:
        size = len(part.encode())
    except UnicodeEncodeError:
        return False
    return size <= LONGEST_NAME and part.isprintable()


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _without_wrapper(targets: Mapping[str, str]) -> dict[str, str]:
    tops = {path.split("/", 1)[0] for path in targets.values()}
    inner = targets.values()
    if len(tops) == 1 and tops != {CHANNEL_DIR} and all("/" in path for path in inner):
        targets = {name: path.split("/", 1)[1] for name, path in targets.items()}
    return {name: path for name, path in targets.items() if path.split("/", 1)[0] not in LEFT_OUT}
