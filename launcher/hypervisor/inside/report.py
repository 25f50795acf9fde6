"""What the guest tells the host about itself: one line of JSON each time. Pure.

{"v": 1, "entrypoint": "running", "exit_code": null, "message": "",
 "instances": [{"name", "state", "host", "port", "pid", "restarts"}]}
"""

from __future__ import annotations

import json

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
STARTING, RUNNING, ENDED = "starting", "running", "ended"
LONGEST_LINE = 64 << 10  # bytes; the host reads no more
LONGEST_MESSAGE = 500


@record
class Report:
    """How the entrypoint is, and each of its instances."""

    entrypoint: str = STARTING
    exit_code: int | None = None
    instances: tuple[InstanceReport, ...] = ()
    message: str = ""

    def is_settled(self) -> bool:
        """Tell whether every instance is where it may stay for long."""
        return self.entrypoint == RUNNING and all(
            each.state in {"ready", "stopped", "failed"} for each in self.instances
        )


@record
class InstanceReport:
    """One server; the states are those of `vllmd status`."""

    name: str
    state: str
    host: str
    port: int | None
    pid: int | None
    restarts: int


def render_report(report: Report) -> bytes:
    """Render a line; instances that do not fit into it are left out, the last ones first."""
    left = LONGEST_LINE - len(_render(report, []))
    rows = []
    for each in report.instances:
        row = _row(each)
        left -= len(_encoded(row)) + len(", ")
        if left < 0:
            break
        rows.append(row)
    return _render(report, rows)


def read_instances(status: dict[str, Any]) -> tuple[InstanceReport, ...]:
    """Return the instances in an answer of the launcher's page /status."""
    return tuple(_read_instance(each) for each in status["instances"])


def split_address(address: str) -> tuple[str, int | None]:
    """Return host and port of an address like `http://127.0.0.1:8000`; a socket has no port."""
    host, _, port = address.partition("://")[2].rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdigit() else ("", None)


def _read_instance(each: dict[str, Any]) -> InstanceReport:
    host, port = split_address(each["address"] or "")
    return InstanceReport(
        name=each["name"],
        state=each["state"],
        host=host,
        port=port,
        pid=each["pid"],
        restarts=each["restarts"],
    )


def _row(each: InstanceReport) -> dict[str, object]:
    names: tuple[str, ...] = InstanceReport.__slots__  # type: ignore[attr-defined]
    return {name: getattr(each, name) for name in names}


def _render(report: Report, rows: list[dict[str, object]]) -> bytes:
    values: dict[str, object] = {
        "v": VERSION,
        "entrypoint": report.entrypoint,
        "exit_code": report.exit_code,
        "instances": rows,
        "message": report.message[:LONGEST_MESSAGE],
    }
    return _encoded(values) + b"\n"


def _encoded(values: dict[str, object]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace")
