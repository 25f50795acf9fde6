"""How long a call may take: profiles, exact durations, and which of them counts. Pure.

A timeout covers the whole call: connecting, waiting, and reading the answer to its end. A stream
also has an idle timeout: the longest silence between two pieces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from launcher.config.suggest import render_hint
from launcher.config.timeout_profiles import PROFILES
from launcher.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "VLLMD_TIMEOUT_PROFILE"
IDLE_MS = 120_000  # a long prompt is read before the first piece comes
# What counts where nobody says: what is called -> profile.
USUAL = {"generate": "ml_inference", "stream": "streaming", "batch": "batch_job"}
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


@dataclass(frozen=True, slots=True)
class Timeout:
    """Milliseconds for a whole call, and for the silence within a stream; None means no limit."""

    total_ms: float | None
    idle_ms: float | None = IDLE_MS

    @classmethod
    def profile(cls, name: str) -> Timeout:
        """Return the timeout of a profile: default, streaming, ml_inference or batch_job.

        Raises:
            UsageError: there is no such profile.
        """
        if name not in PROFILES:
            raise UsageError(f"unknown timeout profile '{name}'", render_hint(name, PROFILES))
        return cls(PROFILES[name] * 1000)

    @property
    def total_s(self) -> float | None:
        """The whole call's limit in seconds."""
        return None if self.total_ms is None else self.total_ms / 1000

    @property
    def idle_s(self) -> float | None:
        """The limit of silence in seconds."""
        return None if self.idle_ms is None else self.idle_ms / 1000


# What the Python interface takes: milliseconds, a profile's name, or both limits.
TimeoutLike: TypeAlias = Timeout | float | str | None


def read_timeout(value: TimeoutLike, call: str, environ: Mapping[str, str]) -> Timeout:
    """Return the timeout of one call: what it was given, else the variable's profile, else ours.

    `call` is a key of `USUAL`.

    Raises:
        UsageError: there is no such profile, or the number is not above zero.
    """
    if isinstance(value, Timeout):
        return value
    if isinstance(value, str):
        return Timeout.profile(value)
    if value is not None:
        if not value > 0:
            raise UsageError(f"expected milliseconds above 0, got {value}")
        return Timeout(value)
    return Timeout.profile(choose_profile(call, environ))


def choose_profile(call: str, environ: Mapping[str, str], configured: str | None = None) -> str:
    """Return the profile of a call that names none: the variable's, the file's, or the usual one.

    Raises:
        UsageError: the variable names no profile.
    """
    wanted = environ.get(VARIABLE)
    if wanted and wanted not in PROFILES:
        message = f"{VARIABLE}: unknown timeout profile '{wanted}'"
        raise UsageError(message, render_hint(wanted, PROFILES))
    return wanted or configured or USUAL[call]


def parse_duration(text: str) -> float | None:
    """Return the milliseconds in a duration like 300s, 1.5h, 250ms; None for `none`.

    Raises:
        UsageError: it is no duration above zero.
    """
    if text == "none":
        return None
    found = _DURATION.fullmatch(text)
    if found is None or not float(found[1]):
        hint = "write a number and a unit, like 250ms, 300s, 5m or 1h; or none"
        raise UsageError(f"expected a duration, got '{text}'", hint)
    return float(found[1]) * UNITS_MS[found[2]]


def render_duration(milliseconds: float) -> str:
    """Say a duration as a person would: `2 min`, `1 h 30 min`, `45 s`, `250 ms`."""
    seconds = round(milliseconds / 1000)
    if milliseconds < 1000:  # noqa: PLR2004  (a second)
        return f"{milliseconds:g} ms"
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    if seconds and not hours:
        parts.append(f"{seconds} s")
    return " ".join(part for part in parts if part)
