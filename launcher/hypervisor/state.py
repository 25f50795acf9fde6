"""What `start` writes down about a guest, for `stop`, `status` and `logs`. Pure."""

from __future__ import annotations

import json

from launcher.hypervisor.identity import Identity
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1

STARTING, RUNNING, STOPPING = "starting", "running", "stopping"


@record
class GuestState:
    """One guest. `phase` is how far its supervisor has come; `vmm` is the process that runs it.

    Times are in seconds since the epoch, sizes in bytes.
    """

    name: str
    backend: str
    accelerator: str
    why: str
    supervisor: Identity
    started_at: float
    cpus: int
    memory: int
    devices: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    log: str = ""  # a path; empty: our standard output, with a copy in the run directory
    reports: bool = False
    detached: bool = False
    version: str = ""
    phase: str = STARTING
    vmm: Identity | None = None
    ready_at: float = 0.0  # when the VMM said that the guest runs; 0: not yet
    reboots: int = 0
    event: str = ""  # the last one worth telling


def render_state(state: GuestState) -> bytes:
    """Render a state as JSON."""
    values = {name: getattr(state, name) for name in _fields()}
    for name in ("supervisor", "vmm"):
        process: Identity | None = values[name]
        values[name] = process and [process.pid, process.start, process.boot]
    return json.dumps({"v": VERSION, **values}).encode() + b"\n"


def parse_state(text: bytes) -> GuestState | None:
    """Parse what `render_state` made; None where it is something else."""
    try:
        values = json.loads(text)
        if values.pop("v") != VERSION:
            return None
        return _typed(values)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _typed(values: dict[str, Any]) -> GuestState:
    for name in ("supervisor", "vmm"):
        if values[name] is not None:
            pid, start, boot = values[name]
            values[name] = Identity(pid=int(pid), start=int(start), boot=str(boot))
    for name in ("devices", "publish"):
        values[name] = tuple(values[name])
    return GuestState(**values)


def _fields() -> tuple[str, ...]:
    names: tuple[str, ...] = GuestState.__slots__  # type: ignore[attr-defined]
    return names
