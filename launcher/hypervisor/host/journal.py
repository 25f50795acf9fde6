"""What `initialize` has done to this host, so that `--undo` takes back that and nothing else.

A file in the state directory, which belongs to whoever ran it: root does not undo what somebody
else has written there.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from typing import Any

from launcher.errors import HostError
from launcher.hypervisor.files import write_atomic
from launcher.hypervisor.host.bridge import (
    AddAddress,
    AddBridge,
    AddPort,
    AddTap,
    Forward,
    MoveAddresses,
)
from launcher.hypervisor.host.deeds import GiveFile, MakeFolder
from launcher.hypervisor.host.hugepages import AddHugePages
from launcher.hypervisor.host.nat import AddNat, AllowForwarding
from launcher.hypervisor.host.vfio import BindDevice, LoadModule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.deeds import Deed

NAME = "initialize.json"
VERSION = 1
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

    Raises:
        HostError: the file is not ours, or broken.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _broken(path, (error.strerror or "").lower()) from None
    with open(descriptor, encoding="utf-8") as file:
        found = os.fstat(descriptor)
        if found.st_uid not in {0, os.geteuid()} or stat.S_IMODE(found.st_mode) & 0o022:
            raise _broken(path, "somebody else could have written it")
        try:
            entries = json.load(file)["deeds"]
            deeds = [(_parse(entry), entry["boot"]) for entry in entries]
        except (ValueError, KeyError, TypeError) as error:
            raise _broken(path, f"it is not of this version ({error})") from None
    return [deed for deed, boot in deeds if not deed.volatile or boot == boot_id]


def write_journal(path: str, deeds: list[Deed], boot_id: str) -> None:
    """Write what was done; without any, there is no journal.

    Raises:
        HostError: it cannot be written.
    """
    try:
        if deeds:
            entries = [_render(deed, boot_id) for deed in deeds]
            text = json.dumps({"v": VERSION, "deeds": entries}, indent=1) + "\n"
            write_atomic(path, text.encode())
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        hint = "make room, or make it writable"
        raise HostError(f"the journal '{path}' cannot be written: {reason}", hint) from None


def _render(deed: Deed, boot_id: str) -> dict[str, object]:
    names: tuple[str, ...] = type(deed).__slots__  # type: ignore[attr-defined]
    values = {name: getattr(deed, name) for name in names}
    return {"deed": type(deed).__name__, "boot": boot_id, **values}


def _parse(entry: dict[str, Any]) -> Deed:
    values = {name: value for name, value in entry.items() if name not in {"deed", "boot"}}
    deed: Deed = KINDS[entry["deed"]](**{name: _frozen(value) for name, value in values.items()})
    return deed


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _broken(path: str, reason: str) -> HostError:
    return HostError(f"the journal '{path}' is not trusted: {reason}", "remove it by hand")
