"""The health watches of a fleet: one for each member that is starting or ready."""

from __future__ import annotations

from launcher.process.fleet import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Iterator, Mapping

    from launcher.process.fleet import Fleet
    from launcher.process.health import HealthWatch
    from launcher.process.spec import ProcessSpec

WATCHED = (State.STARTING, State.READY)
NEVER = float("inf")


class Watches:
    """Asks servers how they are, by name."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Begin without any; `environ` says how servers are reached."""
        self._environ = environ
        self._watches: dict[str, HealthWatch] = {}
        self._seen: Fleet | None = None  # as it was when watches were last dropped

    @property
    def due(self) -> float:
        """When `tend` has to be called even if nothing comes."""
        return min((watch.due for watch in self._watches.values()), default=NEVER)

    def begin(self, spec: ProcessSpec, now: float) -> None:
        """Watch a server that has just been started, if it can be asked."""
        if spec.probe is None:
            return
        # `socket` takes a third of an interpreter start to import: after the first exec.
        from launcher.process.health import HealthWatch  # noqa: PLC0415

        self._watches[spec.name] = HealthWatch(spec, spec.probe, now, self._environ)

    def hurry(self, name: str, now: float) -> None:
        """Ask a server soon: it has said something."""
        watch = self._watches.get(name)
        if watch is not None:
            watch.hurry(now)

    def register(self, poll: select.poll) -> None:
        """Say what to wait for."""
        for watch in self._watches.values():
            if watch.descriptor is not None:
                poll.register(watch.descriptor, watch.events)

    def tend(
        self, fleet: Fleet, ready: Mapping[int, int], now: float
    ) -> Iterator[tuple[str, HealthWatch]]:
        """Yield each watch that has just found its server healthy, or sick: that one is over."""
        self._drop(fleet)
        for name, watch in list(self._watches.items()):
            if watch.due > now and (watch.descriptor is None or watch.descriptor not in ready):
                continue
            was_healthy = watch.healthy
            watch.tend(now)
            if watch.sick:
                watch.close()
                del self._watches[name]
            if watch.sick or (watch.healthy and not was_healthy):
                yield name, watch

    def _drop(self, fleet: Fleet) -> None:
        """Stop asking those who stop or have ended."""
        if fleet is self._seen:
            return  # every line of a log brings us here: only look where something has changed
        self._seen = fleet
        alive = {member.spec.name for member in fleet.members if member.state in WATCHED}
        for name in self._watches.keys() - alive:
            self._watches.pop(name).close()
