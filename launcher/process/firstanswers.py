"""What servers answered first, to tell a forked one that does not work as a cold one would."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from launcher.process.fleet import Member
    from launcher.process.health import HealthWatch


class FirstAnswers:
    """The first token of each configuration, as its first healthy start gave it.

    Where that start was forked itself, the first cold one counts from when it comes.
    """

    def __init__(self) -> None:
        self._tokens: dict[Hashable, str] = {}
        self._from_forks: set[Hashable] = set()

    def doubt(self, member: Member, watch: HealthWatch) -> str:
        """Say why a forked server that has just become healthy is doubtful; empty if it is not.

        A server's answer is remembered if it is the first of its configuration.
        """
        if watch.no_token:
            words = f"no answer to the known question ({watch.no_token})"
            return words if member.forked else ""
        if not watch.token:
            return ""
        configuration = (member.spec.argv, member.spec.env)
        if not member.forked and configuration in self._from_forks:
            self._from_forks.remove(configuration)
            del self._tokens[configuration]
        if member.forked and configuration not in self._tokens:
            self._from_forks.add(configuration)
        known = self._tokens.setdefault(configuration, watch.token)
        if known == watch.token or not member.forked:
            return ""
        return f"it answers {watch.token!r} to the known question, and first it was {known!r}"
