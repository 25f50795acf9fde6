"""What Cloud Hypervisor answers: states, causes of errors, events. Pure.

Its errors have come in four shapes: a JSON list of causes, outermost first (v47 and newer); plain
text (before); an object with a raw newline in its text, from the HTTP parser; and nothing at all.
"""

from __future__ import annotations

import json

from launcher.hypervisor.backend import (
    CREATED,
    PANIC,
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
    from typing import Any

LONGEST_TEXT = 1 << 20  # bytes of events without an end
NOT_CREATED = "vm is not created"
HTTP_NOT_FOUND = 404
STATES = {"Created": CREATED, "Running": RUNNING, "Paused": PAUSED, "Shutdown": SHUTDOWN}
EVENTS = {
    ("vm", "rebooted"): REBOOT,
    ("vm", "shutdown"): POWERED_OFF,
    ("guest", "panic"): PANIC,
}
# What some causes mean, and what mends them. Words of the cause, in small letters.
ADVICE = (
    ("pvh header", "give a bzImage, or a vmlinux that was built with CONFIG_PVH"),
    ("not viable", "bind every device of the IOMMU group to vfio-pci"),
    ("dmamap", "raise the limit on locked memory: LimitMEMLOCK=infinity, or 'ulimit -l unlimited'"),
    ("locked", "stop the guest that uses the image, or give this one a copy"),
    ("already in use", "stop the guest that uses it"),
    ("/dev/kvm", "see 'vllmd-hypervisor precheck'"),
)


class NotCreatedError(VmmRefusalError):
    """No guest has been described to this VMM yet."""


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse the answer to a question.

    Raises:
        VmmSilentError: it is no JSON object.
    """
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise VmmSilentError("cloud-hypervisor answers something that is no JSON object")
    return found


def refuse(status: int, body: bytes) -> VmmRefusalError:
    """Return the error that an answer stands for: its innermost cause, and what mends it."""
    causes = read_causes(body)
    cause = causes[-1] if causes else f"it answered {status} without a reason"
    whole = " ".join(causes).lower()
    hint = next((hint for words, hint in ADVICE if words in whole), "")
    # Up to v52 the code was 500: the words decide.
    if NOT_CREATED in whole:
        return NotCreatedError(f"cloud-hypervisor: {cause}")
    return VmmRefusalError(f"cloud-hypervisor: {cause}", hint)


def read_causes(body: bytes) -> list[str]:
    """Return the causes in an error's body, outermost first."""
    text = body.decode(errors="replace").strip()
    try:
        found = json.loads(text, strict=False)  # for raw newlines in a string
    except ValueError:
        return [_one_line(text)] if text else []
    if isinstance(found, dict):
        found = [found.get("error", "")]
    causes = found if isinstance(found, list) else [found]
    return [_one_line(str(cause)) for cause in causes if cause]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def read_state(info: dict[str, Any]) -> str:
    """Return the guest's state from the answer to `vm.info`."""
    state = str(info.get("state", ""))
    return STATES.get(state, state.lower())


class CloudHypervisorEvents:
    """Bytes of the event monitor in, events out: JSON objects on many lines, one after another."""

    def __init__(self) -> None:
        self._rest = ""
        self._decoder = json.JSONDecoder()

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are whole now.

        Raises:
            VmmSilentError: these are no events.
        """
        self._rest = (self._rest + data.decode(errors="replace")).lstrip()
        found = []
        while self._rest:
            try:
                message, end = self._decoder.raw_decode(self._rest)
            except ValueError:
                break  # not whole yet
            self._rest = self._rest[end:].lstrip()
            event = _read_event(message)
            if event is not None:
                found.append(event)
        if len(self._rest) > LONGEST_TEXT or (self._rest and self._rest[0] != "{"):
            self._rest = ""
            raise VmmSilentError("the event monitor of cloud-hypervisor sends no events")
        return found


def _read_event(message: object) -> Event | None:
    if not isinstance(message, dict):
        return None
    kind = EVENTS.get((str(message.get("source")), str(message.get("event"))))
    return Event(kind=kind) if kind else None
