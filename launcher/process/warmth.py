"""The fork servers of a launch: one for each set of processes that can come from the same.

A fork server that crashes, hangs or refuses costs its processes nothing but a cold start; those
that run do not depend on it. One that fails is replaced a few times, then no more.
"""

from __future__ import annotations

import contextlib
import os
import select

from launcher.errors import StartError
from launcher.process import child
from launcher.process.fleet import State
from launcher.process.forkserver import Forked, ForkServer, Wanted, server_spec
from launcher.process.outcome import Started
from launcher.process.spec import describe_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from launcher.process.fleet import Fleet
    from launcher.process.forkserver import Answer
    from launcher.process.outcome import Outcome
    from launcher.process.outputs import Outputs
    from launcher.process.spec import ExitStatus, ProcessSpec, Warm

NEVER = float("inf")
MOST_FAILURES = 3  # of fork servers for the same processes
SETTLED = (State.READY, State.ENDED)


def server_key(spec: ProcessSpec, warm: Warm, environ: Mapping[str, str]) -> Hashable:
    """Return what processes have in common that may come from the same fork server."""
    environment = child.child_environment(server_spec("", spec, warm), environ)
    shared = frozenset(environment.items())
    return (spec.argv[0], spec.cwd, warm.modules, warm.site, warm.workers, shared)


class Warmth:
    """Starts processes from fork servers."""

    def __init__(
        self,
        outputs: Outputs,
        environ: Mapping[str, str],
        start_cold: Callable[[ProcessSpec, int | None], Outcome],
    ) -> None:
        self.distrusted: set[str] = set()  # those whose answers were not what they should be
        self._outputs = outputs
        self._environ = environ
        self._start_cold = start_cold
        self._servers: dict[Hashable, ForkServer] = {}
        self._failures: dict[Hashable, int] = {}
        self._keys: dict[int, tuple[ProcessSpec, Hashable]] = {}  # by the identity of the former
        self._numbers: dict[Hashable, int] = {}
        self._samples: dict[Hashable, ProcessSpec] = {}  # one that each can be opened for
        self._asked_at: dict[str, float] = {}
        self._unclaimed: dict[int, ExitStatus] = {}
        self._failed: dict[int, str] = {}  # fork servers that are to be reaped
        self._closed: dict[int, str] = {}  # and those that we have ended
        self._settled: Fleet | None = None

    @property
    def due(self) -> float:
        """When to tend even if nothing happens."""
        return min((server.due for server in self._servers.values()), default=NEVER)

    def names(self) -> set[str]:
        """Return the names of the fork servers."""
        return {server.spec.name for server in self._servers.values()} | {
            *self._failed.values(),
            *self._closed.values(),
        }

    def start(self, spec: ProcessSpec, output: int, now: float) -> list[Outcome]:
        """Start a process, from a fork server if possible."""
        if spec.name in self.distrusted:
            return [self._start_cold(spec, output)]
        self._asked_at[spec.name] = now
        return self._ask(Wanted(spec=spec, output=output), now)

    def call_off(self, name: str) -> bool:
        """Call off a start under way; tell whether there was one."""
        return any(server.call_off(name) for server in self._servers.values())

    def watch(self, poll: select.poll) -> None:
        """Register the fork servers' sockets."""
        for server in self._servers.values():
            poll.register(server.descriptor, select.POLLIN)

    def tend(self, ready: Mapping[int, int], now: float) -> list[Outcome]:
        """Return what has come of the starts under way."""
        starts: list[Outcome] = []
        for key, server in list(self._servers.items()):
            if server.descriptor not in ready and now < server.due:
                continue
            answers = server.tend(now)
            self._tell(server)
            if server.failure:
                self._drop(key, server)
            starts += self._take(answers, now)
            if server.failure and server.warm.keep and key not in self._servers:
                self._open_again(key, now)
        return starts

    def settle(self, fleet: Fleet) -> None:
        """End the fork servers that nobody needs: all is over, or healthy, or set otherwise."""
        if fleet is self._settled:
            return
        self._settled = fleet
        specs = [(member, member.next_spec or member.spec) for member in fleet.members]
        wants = [(member, self._key(spec, spec.warm)) for member, spec in specs if spec.warm]
        self._keys = {id(spec): self._keys[id(spec)] for _, spec in specs if spec.warm}
        for key, server in list(self._servers.items()):
            users = [member for member, wanted in wants if wanted == key]
            done = all(member.state in SETTLED for member in users) and not server.warm.keep
            if fleet.stopping or done or not users:
                self._close(key, server)

    def note_end(self, pid: int, status: ExitStatus) -> None:
        """Note the end of a child that is no member: a fork server, or one we are to be told of."""
        name = self._failed.pop(pid, "")
        for server in self._servers.values():
            if server.pid == pid:
                name, server.reaped = server.spec.name, True
        if self._closed.pop(pid, ""):
            return
        if name:
            self._outputs.drain(name)
            self._outputs.print(f"{name}: ended ({describe_status(status)})")
        elif any(server.is_expected() for server in self._servers.values()):
            self._unclaimed[pid] = status

    def claim(self, pid: int) -> ExitStatus | None:
        """Return how a process ended of which we have been told only now; None: it has not."""
        status = self._unclaimed.pop(pid, None)
        if not any(server.is_expected() for server in self._servers.values()):
            self._unclaimed.clear()
        return status

    def close(self) -> None:
        """End the fork servers."""
        for key, server in list(self._servers.items()):
            self._close(key, server)

    def _ask(self, wanted: Wanted, now: float) -> list[Outcome]:
        spec = wanted.spec
        warm = spec.warm
        assert warm is not None  # noqa: S101  (for the type checker: only such are sent here)
        key = self._key(spec, warm)
        server = self._servers.get(key)
        if server is None:
            if self._failures.get(key, 0) >= MOST_FAILURES:
                return [self._give_up(wanted, "its fork servers have failed")]
            try:
                server = self._open(key, spec, warm, now)
            except StartError as error:
                return [self._give_up(wanted, error.message)]
            except OSError as error:
                return [self._give_up(wanted, (error.strerror or str(error)).lower())]
        return self._take(server.want(wanted, now), now)

    def _key(self, spec: ProcessSpec, warm: Warm) -> Hashable:
        """Return the key of the fork server for a process; it takes a look at every variable."""
        found = self._keys.get(id(spec))
        if found is None or found[0] is not spec:
            found = self._keys[id(spec)] = (spec, server_key(spec, warm, self._environ))
        return found[1]

    def _open(self, key: Hashable, spec: ProcessSpec, warm: Warm, now: float) -> ForkServer:
        number = self._numbers.setdefault(key, len(self._numbers) + 1)
        mine = server_spec(f"fork server {number}", spec, warm)
        output = self._outputs.open(mine)
        assert output is not None  # noqa: S101  (for the type checker: it has a log)
        try:
            server = ForkServer(mine, warm, self._environ, output, now)
        finally:
            os.close(output)
        self._servers[key] = server
        self._samples[key] = spec
        self._outputs.print(f"{mine.name}: importing (pid {server.pid})")
        return server

    def _take(self, answers: list[Answer], now: float) -> list[Outcome]:
        starts: list[Outcome] = []
        for answer in answers:
            if isinstance(answer, Forked):
                at = self._asked_at.pop(answer.spec.name, now)
                starts.append(Started(spec=answer.spec, pid=answer.pid, warm=True, asked_at=at))
            elif answer.again:
                starts += self._ask(answer.wanted, now)
            else:
                starts.append(self._give_up(answer.wanted, answer.reason))
        return starts

    def _give_up(self, wanted: Wanted, reason: str) -> Outcome:
        self._outputs.print(f"{wanted.spec.name}: a cold start, because {reason}")
        return self._start_cold(wanted.spec, wanted.output)

    def _tell(self, server: ForkServer) -> None:
        for text in server.news:
            self._outputs.print(f"{server.spec.name}: {text}")
        server.news.clear()

    def _drop(self, key: Hashable, server: ForkServer) -> None:
        del self._servers[key]
        if not server.reaped:
            self._failed[server.pid] = server.spec.name
        if not server.stale:
            self._failures[key] = self._failures.get(key, 0) + 1
        self._outputs.print(f"{server.spec.name}: {server.failure}")

    def _open_again(self, key: Hashable, now: float) -> None:
        """Have another one for restarts. Where that fails, they will be cold, and say why."""
        spec = self._samples[key]
        if spec.warm is None or self._failures.get(key, 0) >= MOST_FAILURES:
            return
        with contextlib.suppress(StartError, OSError):
            self._open(key, spec, spec.warm, now)

    def _close(self, key: Hashable, server: ForkServer) -> None:
        del self._servers[key]
        if not server.reaped:
            self._closed[server.pid] = server.spec.name
        server.end("is not needed any more")
        server.kill()
