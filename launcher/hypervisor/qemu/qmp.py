"""QMP, the protocol of QEMU's monitor: bytes to messages and back. Pure.

Every message is a JSON object on a line (https://www.qemu.org/docs/master/interop/qmp-spec.html).
The guest can cause events, so what is kept is bounded.
"""

from __future__ import annotations

import json

from launcher.hypervisor.backend import (
    CREATED,
    PANIC,
    PANICKED,
    PAUSED,
    POWERED_OFF,
    REBOOT,
    RUNNING,
    SHUTDOWN,
    Event,
    VmmRefusalError,
    VmmSilentError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Message: TypeAlias = dict[str, Any]

LONGEST_LINE = 1 << 20  # bytes; a reply of ours is far shorter
STATES = {
    "running": RUNNING,
    "paused": PAUSED,
    "suspended": PAUSED,
    "prelaunch": CREATED,
    "shutdown": SHUTDOWN,
    "guest-panicked": PANICKED,
}
EVENTS = {"RESET": REBOOT, "GUEST_PANICKED": PANIC, "SHUTDOWN": POWERED_OFF}


class Decoder:
    """Bytes in, whole messages out, wherever the stream was cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are whole now.

        Raises:
            VmmSilentError: this is not QMP.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise VmmSilentError("QEMU's monitor sends a line without an end")
        return [parse_message(line) for line in lines if line.strip()]


def parse_message(line: bytes) -> Message:
    """Parse one line.

    Raises:
        VmmSilentError: it is not an object in JSON.
    """
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise VmmSilentError("QEMU's monitor does not speak QMP")
    return message


def render_command(name: str, arguments: Message | None = None) -> bytes:
    """Render a command."""
    message: Message = {"execute": name}
    if arguments:
        message["arguments"] = arguments
    return json.dumps(message).encode() + b"\n"


def read_version(greeting: Message) -> str:
    """Return QEMU's version from the first message that it sends.

    Raises:
        VmmSilentError: it is no greeting.
    """
    try:
        found = greeting["QMP"]["version"]["qemu"]
        return f"{found['major']}.{found['minor']}.{found['micro']}"
    except (KeyError, TypeError):
        raise VmmSilentError("QEMU's monitor does not greet") from None


def is_reply(message: Message) -> bool:
    """Tell whether a message answers a command; the others are events."""
    return "return" in message or "error" in message


def take_reply(message: Message) -> object:
    """Return what a command has returned.

    Raises:
        VmmRefusalError: QEMU has refused it.
    """
    if "error" in message:
        error = message["error"]
        cause = error.get("desc", "") if isinstance(error, dict) else str(error)
        raise VmmRefusalError(f"QEMU: {cause}")
    return message["return"]


def read_state(reply: object) -> str:
    """Return the guest's state from the answer to `query-status`."""
    status = reply.get("status", "") if isinstance(reply, dict) else ""
    return STATES.get(str(status), str(status))


def read_event(message: Message) -> Event | None:
    """Return what an event means to us; None where it means nothing, or is no event."""
    name = message.get("event")
    data = message.get("data")
    if name == "RESET" and isinstance(data, dict) and data.get("guest") is False:
        return None  # the machine's first reset, or one that we asked for
    kind = EVENTS.get(str(name))
    return Event(kind=kind) if kind else None
