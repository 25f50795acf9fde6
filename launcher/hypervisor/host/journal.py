"""What `initialize` has done to this host, so that `--undo` takes back that and nothing else.

A file in the state directory, which belongs to whoever ran it: root does not undo what somebody
else has written there. A deed is in it before it is begun, so that nothing is forgotten where
the program, the machine or the disk lets us down in the middle of one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from typing import Any, get_args, get_origin, get_type_hints

from launcher.errors import HostError
from launcher.hypervisor.files import write_atomic
from launcher.hypervisor.host.bridge import (
    AddAddress,
    AddBridge,
    Forward,
    MoveAddresses,
)
from launcher.hypervisor.host.deeds import GiveFile, MakeFolder
from launcher.hypervisor.host.hugepages import AddHugePages
from launcher.hypervisor.host.nat import AddNat, AllowForwarding
from launcher.hypervisor.host.taps import AddPort, AddTap
from launcher.hypervisor.host.vfio import BindDevice, LoadModule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.hypervisor.host.deeds import Deed

NAME = "initialize.json"
VERSION = 1
TURN_S = 60.0  # for another run to end; most take less than a second
POLL_S = 0.05
KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        MakeFolder, GiveFile, AddHugePages, AddBridge, AddAddress, AddTap, AddPort, MoveAddresses,
        Forward, AddNat, AllowForwarding, LoadModule, BindDevice,
    )
}  # fmt: skip


def journal_path(state_dir: str) -> str:
    """Return where the journal of a state directory is."""
    return f"{state_dir}/{NAME}"


def read_journal(path: str, boot_id: str) -> list[Deed]:
    """Return what was done and still holds: what a reboot has undone is left out.

    A deed that was begun, and of which nobody knows how it ended, comes last.

    Raises:
        HostError: the file is not ours, or broken.
    """
    content = _read(path)
    if content is None:
        return []
    try:
        found = _decode(content)
        entries = [(_parse(each), each["boot"]) for each in found["deeds"]]
        begun = found.get("begun")
        if begun is not None:
            deed = _parse(begun)
            settled = deed.settle() if isinstance(deed, AddHugePages) else deed
            if (settled, begun["boot"]) not in entries:
                entries.append((settled, begun["boot"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _broken(path, f"it is broken ({error})") from None
    return [deed for deed, boot in entries if not deed.volatile or boot == boot_id]


def _read(path: str) -> bytes | None:
    """Return the content of the journal, None where there is none."""
    try:
        # Not to wait for a writer, if it is a FIFO that somebody has put there.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except PermissionError:
        message = f"the journal '{path}' cannot be read: permission denied"
        raise HostError(message, "run it as root") from None
    except OSError as error:
        raise _broken(path, (error.strerror or "").lower()) from None
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _broken(path, "it is no file")
        if found.st_uid not in {0, os.geteuid()} or stat.S_IMODE(found.st_mode) & 0o022:
            raise _broken(path, "somebody else could have written it")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()


def _decode(content: bytes) -> dict[str, Any]:
    found = json.loads(content)
    if not isinstance(found, dict) or not isinstance(found.get("deeds"), list):
        raise TypeError("it has no list of deeds")
    if found.get("v") != VERSION:
        raise ValueError(f"version {found.get('v')} of its format, ours is {VERSION}")
    return found


def write_journal(
    path: str, deeds: Sequence[Deed], boot_id: str, begun: Deed | None = None
) -> None:
    """Write what was done, and what is begun now; without any, there is no journal.

    Raises:
        HostError: it cannot be written.
    """
    try:
        if deeds or begun is not None:
            entries = [_render(deed, boot_id) for deed in deeds]
            journal: dict[str, object] = {"v": VERSION, "deeds": entries}
            if begun is not None:
                journal["begun"] = _render(begun, boot_id)
            write_atomic(path, f"{json.dumps(journal, indent=1)}\n".encode())
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        hint = "make room, or make it writable"
        raise HostError(f"the journal '{path}' cannot be written: {reason}", hint) from None


@contextlib.contextmanager
def hold_journal(folder: str, limit_s: float = TURN_S) -> Iterator[None]:
    """Wait until no other run changes this host, and keep others waiting meanwhile.

    The lock is on the journal's folder, which has to be there: a file of its own would stay.

    Raises:
        HostError: another run does not end, or has taken the folder away.
    """
    deadline = time.monotonic() + limit_s
    with contextlib.ExitStack() as stack:
        while True:
            descriptor = _open_folder(folder)
            stack.callback(os.close, descriptor)
            if not _lock(descriptor):
                if time.monotonic() > deadline:
                    message = f"another 'vllmd-hypervisor initialize' is at work on '{folder}'"
                    raise HostError(message, "wait until it has ended, and run this again")
                time.sleep(POLL_S)
            elif _is_same(descriptor, folder):
                break
            stack.close()  # it was taken away and made anew, or is not free yet
        _sweep(folder)
        yield


def _sweep(folder: str) -> None:
    """Remove what a run has left that was killed while it wrote; there is no other now."""
    for name in os.listdir(folder):
        if name.startswith(f".{NAME}."):
            with contextlib.suppress(OSError):
                os.unlink(f"{folder}/{name}")


def _open_folder(folder: str) -> int:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise HostError(f"'{folder}' cannot be opened: {reason}", "run this again") from None


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # some network file systems lock no folders: then nobody is kept waiting
    return True


def _is_same(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def _render(deed: Deed, boot_id: str) -> dict[str, object]:
    names: tuple[str, ...] = type(deed).__slots__  # type: ignore[attr-defined]
    values = {name: getattr(deed, name) for name in names}
    return {"deed": type(deed).__name__, "boot": boot_id, **values}


def _parse(entry: dict[str, Any]) -> Deed:
    kind = KINDS[entry["deed"]]
    values = {name: _frozen(value) for name, value in entry.items() if name not in {"deed", "boot"}}
    deed: Deed = kind(**values)
    for name, wanted in get_type_hints(kind).items():
        if name in values and not _fits(values[name], wanted):
            raise TypeError(f"'{name}' of {entry['deed']} is no {wanted}")
    return deed


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _fits(value: object, wanted: Any) -> bool:  # noqa: ANN401
    """Tell whether a value has a type: a plain one, or tuples of such."""
    if get_origin(wanted) is not tuple:
        return type(value) is wanted
    if not isinstance(value, tuple):
        return False
    inner = get_args(wanted)
    if inner[-1] is Ellipsis:
        inner = inner[:1] * len(value)
    return len(inner) == len(value) and all(map(_fits, value, inner))


def _broken(path: str, reason: str) -> HostError:
    return HostError(f"the journal '{path}' is not trusted: {reason}", "remove it by hand")
