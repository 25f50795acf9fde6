"""What would be read ahead for an instance: this machine's disk is looked at, as when it starts."""

from __future__ import annotations

from launcher.warm.prefetch import describe, find_files, total_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.server.prefetch import ReadAhead


def render_prefetch(ahead: ReadAhead) -> str:
    """Render it as one line."""
    files, reason = _look(ahead)
    if reason or ahead.order is None:
        return f"nothing ({reason})"
    return describe(ahead.order.as_order(), files)


def describe_prefetch(ahead: ReadAhead) -> dict[str, object]:
    """Describe it as JSON."""
    files, reason = _look(ahead)
    return {"files": files, "bytes": total_size(files), "reason": reason}


def _look(ahead: ReadAhead) -> tuple[list[str], str]:
    return find_files(ahead.order.as_order()) if ahead.order else ([], ahead.reason)
