"""What a guest says of itself: lines of JSON that nobody has to believe. Pure.

    {"v": 1, "entrypoint": "running", "exit_code": null, "instances": [...], "message": ""}

A guest is not trusted: whatever is not of this shape is dropped, texts are cut, and what could
move the cursor of who reads it is escaped.
"""

from __future__ import annotations

import json

from launcher.config.printable import printable
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
LONGEST_LINE = 64 * 1024  # bytes
MOST_INSTANCES = 256
LONGEST_TEXT = 400
STARTING, RUNNING, ENDED = "starting", "running", "ended"
ENTRYPOINT_STATES = (STARTING, RUNNING, ENDED)
MOST_RESTARTS = MOST_PID = 1 << 32
MOST_PORT = (1 << 16) - 1


@record
class GuestInstance:
    """One server in the guest, with the words of `vllmd status`."""

    name: str
    state: str
    host: str = ""
    port: int | None = None
    pid: int | None = None
    restarts: int = 0


@record
class GuestReport:
    """How the guest says it is. `entrypoint` is "starting", "running" or "ended"."""

    entrypoint: str
    exit_code: int | None = None
    instances: tuple[GuestInstance, ...] = ()
    message: str = ""


class LineSplitter:
    """Bytes in, whole lines out; a line that is too long is dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._skips = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are whole now."""
        *lines, rest = (self._rest + data).split(b"\n")
        if self._skips and lines:
            lines, self._skips = lines[1:], False
        if len(rest) > LONGEST_LINE:
            rest, self._skips = b"", True
        self._rest = b"" if self._skips else rest
        return [line for line in lines if 0 < len(line) <= LONGEST_LINE]


def parse_report(line: bytes) -> GuestReport | None:
    """Parse one line; None where it is no report."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or values.get("v") != VERSION:
        return None
    if values.get("entrypoint") not in ENTRYPOINT_STATES:
        return None
    instances = values.get("instances")
    found = [_read_instance(each) for each in instances] if isinstance(instances, list) else []
    return GuestReport(
        entrypoint=values["entrypoint"],
        exit_code=_number(values.get("exit_code"), 255),
        instances=tuple(each for each in found[:MOST_INSTANCES] if each is not None),
        message=_text(values.get("message")),
    )


def _read_instance(values: object) -> GuestInstance | None:
    if not isinstance(values, dict) or not isinstance(values.get("name"), str):
        return None
    return GuestInstance(
        name=_text(values["name"]),
        state=_text(values.get("state")),
        host=_text(values.get("host")),
        port=_number(values.get("port"), MOST_PORT),
        pid=_number(values.get("pid"), MOST_PID),
        restarts=_number(values.get("restarts"), MOST_RESTARTS) or 0,
    )


def _text(value: object) -> str:
    return printable(value[:LONGEST_TEXT]) if isinstance(value, str) else ""


def _number(value: object, most: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= most else None


def describe_report(report: GuestReport) -> dict[str, Any]:
    """Return a report as the object that `status --json` shows and guest.json holds."""
    return {
        "v": VERSION,
        "entrypoint": report.entrypoint,
        "exit_code": report.exit_code,
        "instances": [
            {name: getattr(each, name) for name in each.__slots__}  # type: ignore[attr-defined]
            for each in report.instances
        ],
        "message": report.message,
    }


def summarize_report(report: GuestReport) -> str:
    """Return one line on a report."""
    ready = sum(each.state == "ready" for each in report.instances)
    servers = f"; {ready} of {len(report.instances)} instances ready" if report.instances else ""
    code = f" with exit code {report.exit_code}" if report.exit_code is not None else ""
    message = f"; {report.message}" if report.message else ""
    return f"entrypoint {report.entrypoint}{code}{servers}{message}"
