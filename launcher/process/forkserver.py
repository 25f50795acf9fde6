"""One fork server: its process, its socket, and what it has been asked for.

The program is `launcher/warm/server.py`, which says what is spoken. Nothing here waits: the socket
does not block, and whatever takes too long is given up.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket

from launcher.process import child
from launcher.process.spec import LogSpec, ProcessSpec, Variable
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.abc import FileLoader
    from typing import TypeAlias

    from launcher.process.spec import Warm

    __loader__: FileLoader

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(__file__)), "warm", "server.py")
BOOTSTRAP = "import os; exec(os.read(0, 1 << 18))"
# The words and variables of a forked process are shown in /proc where the fork server's own stood:
# more of them fit there if it had some to spare.
ROOM = " " * 4096
SPARE = Variable(name="VLLMD_SPARE", value=ROOM)
LARGEST = 1 << 18  # bytes of a message
IMPORT_S = 300.0  # slow disks, many imports at once
FORK_S = 10.0
NEVER = float("inf")
LOG_BYTES = 10_000_000


@record
class Wanted:
    """A process that is asked for, and where its output is to go: a descriptor of ours."""

    spec: ProcessSpec
    output: int


@record
class Forked:
    """A process runs. It is a child of ours."""

    spec: ProcessSpec
    pid: int


@record
class Refused:
    """A process cannot be had from here. `again`: it could be, from a new fork server."""

    wanted: Wanted
    reason: str
    again: bool = False


if TYPE_CHECKING:
    Answer: TypeAlias = Forked | Refused


def server_spec(name: str, spec: ProcessSpec, warm: Warm) -> ProcessSpec:
    """Return the process of a fork server for a process and its like.

    It gets no late variable: no key or token is among what it holds for others.
    """
    late = {*warm.late, *warm.switches}
    kept = tuple(each for each in spec.env if each.name not in late or _is_off(each.name, spec))
    return ProcessSpec(
        name=name,
        argv=(spec.argv[0], "-c", BOOTSTRAP, ROOM),
        env=(*kept, SPARE),
        unset=(*spec.unset, *late),
        cwd=spec.cwd,
        log=LogSpec(
            path=f"{warm.log_dir}/vllmd-{name.replace(' ', '-')}.log", max_bytes=LOG_BYTES, keep=1
        ),
    )


def _is_off(name: str, spec: ProcessSpec) -> bool:
    """Tell whether a variable is set to nothing, which a switch passes on."""
    switches = spec.warm.switches if spec.warm else ()
    return name in switches and any(
        each.name == name and not each.value.strip() for each in spec.env
    )


class ForkServer:
    """A running fork server. Poll `descriptor`; call `tend` then, and when `due` comes."""

    def __init__(
        self, spec: ProcessSpec, warm: Warm, environ: Mapping[str, str], output: int, now: float
    ) -> None:
        """Start it. `spec` is what `server_spec` returns.

        Raises:
            OSError: there is no process or descriptor to be had.
            StartError: the interpreter cannot be executed.
        """
        self.spec = spec
        self.warm = warm
        self.failure = ""  # why it is of no use any more
        self.stale = False  # because its packages have changed
        self.reaped = False  # its pid may be another process's by now
        self.news: list[str] = []  # what there is to say, for whoever takes it
        self._environ = environ
        self._waiting: list[Wanted] = []
        self._asked: Wanted | None = None
        self._count = 0
        self._ready = False
        self.due = now + IMPORT_S
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._socket.settimeout(0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
            self._socket.send(__loader__.get_data(PROGRAM))
            order = {"modules": warm.modules, "site": warm.site}
            self._socket.send(json.dumps(order).encode())
            try:
                self.pid = child.start(spec, environ, output, theirs.fileno())
            except BaseException:
                self._socket.close()
                raise

    @property
    def descriptor(self) -> int:
        """What to poll for input; -1 once it has been closed."""
        return self._socket.fileno()

    def want(self, wanted: Wanted, now: float) -> list[Answer]:
        """Ask for a process, after those asked for before."""
        self._waiting.append(wanted)
        return self._ask(now)

    def call_off(self, name: str) -> bool:
        """Want a process no longer; tell whether it was wanted. If it comes, it is killed."""
        for wanted in self._waiting:
            if wanted.spec.name == name:
                self._waiting.remove(wanted)
                os.close(wanted.output)
                return True
        if self._asked is not None and self._asked.spec.name == name:
            os.close(self._asked.output)
            self._asked = None
            return True
        return False

    def tend(self, now: float) -> list[Answer]:
        """Take what has been answered, or give it up."""
        answers: list[Answer] = []
        try:
            while data := self._socket.recv(LARGEST):
                answers += self._heard(json.loads(data), now)
                if self.failure:
                    return answers
        except BlockingIOError:
            if now < self.due:
                return answers
            self.kill()
            late = "did not fork in time" if self._ready else "did not import in time"
            return answers + self.end(late)
        except ConnectionResetError:
            pass
        return answers + self.end("has ended")

    def is_expected(self) -> bool:
        """Tell whether a process may exist that we have not been told of."""
        return self._ready and self.due < NEVER

    def end(self, reason: str) -> list[Answer]:
        """Use it no longer: it ends when it notices. What it owes is to be had elsewhere."""
        self.failure = self.failure or reason
        left = [*([self._asked] if self._asked else []), *self._waiting]
        self._asked, self._waiting = None, []
        self.due = NEVER
        self._disown()
        self._socket.close()
        return [Refused(wanted=wanted, reason=f"the fork server {reason}") for wanted in left]

    def _disown(self) -> None:
        """Kill what has been forked, and is told of too late: nobody would ever look after it.

        What is not told of when this has been called ends by itself: telling us fails from now on.
        """
        with contextlib.suppress(OSError):  # it is closed
            self._socket.shutdown(socket.SHUT_RD)
            while data := self._socket.recv(LARGEST):
                self._kill_told(json.loads(data))

    def _kill_told(self, said: dict[str, object]) -> None:
        """Kill a process that is wanted no more, and what it may have started since."""
        if "pid" in said:
            child.send_group(int(str(said["pid"])), signal.SIGKILL)

    def kill(self) -> None:
        """Kill its process, if that is still there."""
        if not self.reaped:
            child.send(self.pid, signal.SIGKILL)

    def _heard(self, said: dict[str, object], now: float) -> list[Answer]:
        if "refused" in said:
            return self.end(f"is of no use: {said['refused']}")
        if "ready" in said:
            self._ready = True
            self.due = NEVER
            self.news.append(f"ready after {said['ready']:.1f} s of imports")
        elif said["id"] == self._count:
            return [*self._settle(said), *self._ask(now)]
        return self._ask(now)

    def _settle(self, said: dict[str, object]) -> list[Answer]:
        """Read the answer to the request under way."""
        wanted, self._asked = self._asked, None
        self.due = NEVER
        if wanted is None:  # called off
            self._kill_told(said)
            return []
        if "pid" in said:
            os.close(wanted.output)
            return [Forked(spec=wanted.spec, pid=int(str(said["pid"])))]
        reason = str(said["error"])
        if not said.get("stale"):
            return [Refused(wanted=wanted, reason=f"the fork server {reason}")]
        self.stale = True
        left = (wanted, *self._waiting)
        self._waiting = []
        self.end(reason)
        return [Refused(wanted=each, reason=reason, again=True) for each in left]

    def _ask(self, now: float) -> list[Answer]:
        """Send the next request, if none is under way."""
        refused: list[Answer] = []
        while self._ready and self._waiting and self.due == NEVER and not self.failure:
            wanted = self._waiting.pop(0)
            self._count += 1
            request = self._render(wanted.spec)
            if len(request) > LARGEST:  # it would be cut
                reason = f"words and variables are more than {LARGEST >> 10} KiB"
                refused.append(Refused(wanted=wanted, reason=reason))
                continue
            try:
                socket.send_fds(self._socket, [request], [wanted.output])
            except OSError as error:  # it has just ended
                reason = (error.strerror or str(error)).lower()
                refused.append(Refused(wanted=wanted, reason=f"cannot ask it: {reason}"))
                continue
            self._asked = wanted
            self.due = now + FORK_S
        return refused

    def _render(self, spec: ProcessSpec) -> bytes:
        """Render the request for a process whose words are `PYTHON -m MODULE ...`."""
        request = {
            "id": self._count,
            "module": spec.argv[2],
            "argv": spec.argv[3:],
            "env": child.child_environment(spec, self._environ),
            "parent": os.getpid(),
            "workers": self.warm.workers,
        }
        return json.dumps(request).encode()
