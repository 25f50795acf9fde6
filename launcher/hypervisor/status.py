"""The status of a guest, as people and programs read it. Pure."""

from __future__ import annotations

import json

from launcher.config.printable import printable
from launcher.hypervisor.report import describe_report, summarize_report
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from launcher.hypervisor.report import GuestInstance, GuestReport
    from launcher.hypervisor.state import GuestState

IS_STOPPED, IS_STARTING, IS_RUNNING = "stopped", "starting", "running"
IS_PAUSED, IS_STOPPING, IS_UNRESPONSIVE = "paused", "stopping", "unresponsive"
IS_UNKNOWN = "unknown"
# As init scripts answer (Linux Standard Base, "Init Script Actions").
EXIT_RUNNING, EXIT_STOPPED, EXIT_UNKNOWN = 0, 3, 4
MIB = 1 << 20


@record
class GuestStatus:
    """How a guest is. `guest` is what `start` wrote down; None where nothing runs."""

    name: str
    state: str
    detail: str = ""
    guest: GuestState | None = None
    supervised: bool = False
    uptime_s: float = 0.0
    report: GuestReport | None = None
    report_age_s: float = 0.0


def exit_code(status: GuestStatus) -> int:
    """Return 0 where the guest runs, 3 where it is stopped, 4 for everything between."""
    return {IS_RUNNING: EXIT_RUNNING, IS_STOPPED: EXIT_STOPPED}.get(status.state, EXIT_UNKNOWN)


def describe_status(status: GuestStatus) -> dict[str, Any]:
    """Return a status as the object that `--json` prints; what does not run has no more to say."""
    values: dict[str, Any] = {
        "name": status.name,
        "state": status.state,
        "detail": status.detail or None,
    }
    guest = status.guest
    if guest is None:
        return values
    return values | {
        "pid": guest.vmm.pid if guest.vmm else None,
        "supervisor_pid": guest.supervisor.pid if status.supervised else None,
        "uptime_s": round(status.uptime_s, 1),
        "cpus": guest.cpus,
        "memory_bytes": guest.memory,
        "devices": list(guest.devices),
        "backend": guest.backend,
        "version": guest.version or None,
        "accelerator": guest.accelerator,
        "why": guest.why,
        "publish": list(guest.publish),
        "log": guest.log,
        "reboots": guest.reboots,
        "event": guest.event or None,
        "guest": _describe_guest(status),
    }


def _describe_guest(status: GuestStatus) -> dict[str, Any] | None:
    if status.report is None:
        return None
    return {"age_s": round(status.report_age_s, 1), **describe_report(status.report)}


def render_json(status: GuestStatus) -> str:
    """Render one object."""
    return json.dumps(describe_status(status), indent=2)


def render_status(status: GuestStatus) -> str:
    """Render for people: a line, and what there is to know below it."""
    detail = f" ({status.detail})" if status.detail else ""
    head = f"{status.name}: {status.state}{detail}"
    guest = status.guest
    if guest is None:
        return head
    rows = [
        ("process", f"{guest.vmm.pid if guest.vmm else '-'}, up {render_span(status.uptime_s)}"),
        ("backend", f"{guest.backend} {guest.version}, {guest.accelerator}: {guest.why}"),
        ("size", f"{guest.cpus} vCPUs, {guest.memory // MIB} MiB"),
        ("devices", ", ".join(path.rpartition("/")[2] for path in guest.devices)),
        ("ports", ", ".join(guest.publish)),
        ("log", guest.log),
        ("reboots", str(guest.reboots or "")),
        ("guest", _summarize(status)),
    ]
    lines = [f"  {name:<9}{text}" for name, text in rows if text]
    report = status.report
    instances = report.instances if report else ()
    lines += [f"    {each.name}: {_describe_instance(each)}" for each in instances]
    return "\n".join(map(printable, [head, *lines]))


def _describe_instance(instance: GuestInstance) -> str:
    # One on a socket has no port.
    port = f", {instance.host}:{instance.port}" if instance.port is not None else ""
    return f"{instance.state}{port}"


def _summarize(status: GuestStatus) -> str:
    if status.report is None:
        reports = status.guest is not None and status.guest.reports
        return "has not reported yet" if reports else "does not report"
    return f"{summarize_report(status.report)} ({render_span(status.report_age_s)} ago)"


def render_span(seconds: float) -> str:
    """Render a duration in its two largest units."""
    whole = int(seconds)
    days, hours, minutes = whole // 86_400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
