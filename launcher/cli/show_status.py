"""The state of a launcher as a person wants to see it. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.cli.remote import Answer

COLUMNS = ("NAME", "STATE", "PID", "UP", "RESTARTS", "GPUS", "ADDRESS")
COLOURS = {
    "ready": "32",
    "starting": "36",
    "waiting": "36",
    "backoff": "33",
    "stopping": "33",
    "stopped": "2",
    "failed": "31;1",
}
STATE = COLUMNS.index("STATE")
GAP = "  "
MOMENT = "first line"  # within a phase, where the others end one


def render_status(status: Answer, *, colour: bool) -> str:
    """Render a table of the instances, and under it why those that failed did."""
    launcher, instances = status["launcher"], status["instances"]
    rows = [_row(each) for each in instances]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    lines = [_headline(launcher, instances), ""]
    if rows:
        lines.append(_bold(_align(COLUMNS, widths, ""), colour=colour))
    for each, row in zip(instances, rows, strict=True):
        paint = COLOURS.get(each["state"], "") if colour else ""
        lines.append(_align(row, widths, paint))
        lines += _notes(each)
    return "\n".join(lines) + "\n"


def render_duration(seconds: float | None) -> str:
    """Render a duration in its two largest units, like `3m 20s`; `-` for None."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {whole % 60}s" if minutes else f"{whole}s"


def _headline(launcher: Answer, instances: Sequence[Answer]) -> str:
    ready = sum(each["state"] == "ready" for each in instances)
    wanted = sum(bool(each["wanted"]) for each in instances)
    how = "stopping" if launcher["stopping"] else f"{ready} of {wanted} ready"
    up = render_duration(launcher["uptime_s"])
    config = f", {launcher['config']}" if launcher["config"] else ""
    return f"vllmd {launcher['version']}, pid {launcher['pid']}, up {up}{config}: {how}"


def _row(each: Answer) -> tuple[str, ...]:
    pause = each["next_start_s"]
    state = f"{each['state']} {render_duration(pause)}" if pause is not None else each["state"]
    return (
        each["name"],
        state,
        str(each["pid"] or "-"),
        render_duration(each["uptime_s"]),
        str(each["restarts"]),
        each["gpus"] or "-",
        each["address"] or "-",
    )


def _notes(each: Answer) -> list[str]:
    """Return what there is to say about an instance under its row."""
    diagnosis = each.get("diagnosis")
    lines = _phases(each)
    if each["failure"]:
        last = "last failure: " if each["state"] in {"ready", "starting", "waiting"} else ""
        lines.append(f"    {last}{each['failure']}")
    if diagnosis:
        lines.append(f"    {diagnosis['what']}")
        lines += [f"    hint: {diagnosis['advice']}"] if diagnosis.get("advice") else []
    if each["failure"] and each["log"]:
        lines.append(f"    log: {each['log']}")
    return lines


def _phases(each: Answer) -> list[str]:
    """Return what the start of an instance has been made of so far."""
    marks = each.get("timeline") or {}
    if each["state"] != "starting" or not marks:
        return []
    lengths, before = [], 0.0
    for phase, at in marks.items():
        if phase != MOMENT:
            lengths.append(f"{phase} {at - before:.1f} s")
            before = at
    return [f"    so far: {', '.join(lengths)}"] if lengths else []


def _align(words: Sequence[str], widths: Sequence[int], paint: str) -> str:
    cells = [f"{word:<{width}}" for word, width in zip(words, widths, strict=True)]
    if paint:
        plain = cells[STATE]
        cells[STATE] = f"\x1b[{paint}m{plain.rstrip()}\x1b[0m" + " " * (
            len(plain) - len(plain.rstrip())
        )
    return GAP.join(cells).rstrip()


def _bold(text: str, *, colour: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if colour else text
