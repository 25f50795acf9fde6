"""What servers answered first, to tell a forked one that does not work as a cold one would."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from launcher.process.fleet import Member
    from launcher.process.health import HealthWatch


class FirstAnswers:
    """The first token of each configuration, as its first healthy start gave it."""

    def __init__(self) -> None:
        self._tokens: dict[Hashable, str] = {}

    def doubt(self, member: Member, watch: HealthWatch) -> str:
        """Say why a forked server that has just become healthy is doubtful; empty if it is not.

        A server's answer is remembered if it is the first of its configuration.
        """
        if watch.no_token:
            words = f"no answer to the known question ({watch.no_token})"
            return words if member.forked else ""
        if not watch.token:
            return ""
        spec = member.spec
        known = self._tokens.setdefault((spec.argv, spec.env), watch.token)
        if known == watch.token or not member.forked:
            return ""
        return f"it answers {watch.token!r} to the known question, and first it was {known!r}"
