"""Server-sent events, as OpenAI's API streams them. Pure: bytes in, the data of events out.

Lines end with a line feed and nothing else: `str.splitlines` would also cut at U+2028 and others,
which JSON may hold as they are.
"""

from __future__ import annotations

DONE = "[DONE]"


class EventParser:
    """Takes bytes as they come; a piece may end anywhere, in the middle of a character too."""

    def __init__(self) -> None:
        self.done = False
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the data of the events that are complete now, up to the one that says "done"."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = []
        for line in lines:
            if self.done or not line.startswith(b"data:"):
                continue  # comments, other fields, and the empty line after each event
            event = line[len(b"data:") :].decode(errors="replace").strip()
            self.done = event == DONE
            if event and not self.done:
                found.append(event)
        return found
