"""All links of a fleet, as the loop of PID 1 needs them: see `launcher.process.link`."""

from __future__ import annotations

from launcher.process.events import Unlinked

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Callable

    from launcher.process.events import Linked
    from launcher.process.fleet import Fleet
    from launcher.process.link_leader import LeaderLink
    from launcher.process.link_worker import WorkerLink
    from launcher.process.spec import Link

CHANGED = "its part in the cluster has changed"


class Links:
    """One link for each member that is a part of a server on several machines."""

    def __init__(self) -> None:
        """Begin without any."""
        self._links: dict[str, LeaderLink | WorkerLink] = {}
        self._seen: Fleet | None = None  # as it was at the last look

    @property
    def due(self) -> float:
        """When `tend` has to be called even if nothing comes."""
        return min((link.due for link in self._links.values()), default=float("inf"))

    def register(self, poll: select.poll) -> None:
        """Say what to wait for."""
        for link in self._links.values():
            for descriptor, events in link.polled():
                poll.register(descriptor, events)

    def tend(
        self, fleet: Fleet, ready: dict[int, int], now: float, say: Callable[[str], None]
    ) -> list[Linked | Unlinked]:
        """Bring every link in line with its member; return what has happened."""
        happened: list[Linked | Unlinked] = []
        if fleet is not self._seen:  # most fleets have no link, and every line of a log comes here
            self._seen = fleet
            happened += [Unlinked(name=name, reason=CHANGED) for name in self._adapt(fleet)]
        for name, link in self._links.items():
            news = link.tend(fleet.member(name), ready, now)
            if isinstance(news, str):
                say(news)
            elif news is not None:
                happened.append(news)
        return happened

    def _adapt(self, fleet: Fleet) -> list[str]:
        """Have a link for each member that wants one, and no other; return whose was given up."""
        wanted = {
            member.spec.name: member.spec.link for member in fleet.members if member.spec.link
        }
        dropped = [name for name, link in self._links.items() if wanted.get(name) != link.link]
        for name in dropped:
            self._links.pop(name).close()
        for name, wish in wanted.items():
            if name not in self._links:
                self._links[name] = _make(name, wish)
        return dropped


def _make(name: str, link: Link) -> LeaderLink | WorkerLink:
    # `socket` takes a third of an interpreter start to import, and few fleets need it here.
    if link.rank == 0:
        from launcher.process.link_leader import LeaderLink  # noqa: PLC0415

        return LeaderLink(name, link)
    from launcher.process.link_worker import WorkerLink  # noqa: PLC0415

    return WorkerLink(name, link)
