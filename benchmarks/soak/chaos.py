"""What is done to the launcher and its servers, at random but by a seed that can be repeated."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.contenders import vllmd_words
from benchmarks.soak.proc import list_processes, servers_of
from benchmarks.soak.wanted import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from benchmarks.soak.proc import Process
    from benchmarks.soak.wanted import Instance, Wanted

MOST_FLOODS = 40  # of one instance: then its rotated logs would drop the first lines
MOST_REMOVED = 5
KNOWN_S = 5.0  # after which a SIGHUP has surely been heeded
BAD_SETTINGS = 78
COMMAND_S = 60.0


@dataclass
class Chaos:
    """Knows how to do harm, and counts what it has done."""

    wanted: Wanted
    random: Random
    launcher: int
    mark: str
    environ: Mapping[str, str]
    done: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    def strike(self) -> None:
        """Do one random thing."""
        names = list(INJECTIONS)
        weights = [INJECTIONS[name][0] for name in names]
        name = self.random.choices(names, weights)[0]
        if INJECTIONS[name][1](self):
            self.done[name] += 1

    def ask(self, *words: str, expected: int = 0) -> str:
        """Give the running launcher a command; another exit code than expected is a complaint."""
        argv = vllmd_words(*words, "--socket", str(self.wanted.socket))
        done = subprocess.run(
            argv,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        if done.returncode != expected:
            said = (done.stderr or done.stdout).strip()
            self.complaints.append(f"vllmd {' '.join(words)}: code {done.returncode}: {said}")
        return done.stdout

    def states(self) -> dict[str, str]:
        """Return the state of every instance, as `vllmd status --json` says it."""
        argv = vllmd_words("status", "--json", "--socket", str(self.wanted.socket))
        done = subprocess.run(
            argv, env=self.environ, capture_output=True, text=True, check=False, timeout=COMMAND_S
        )
        if not done.stdout:
            return {}
        return {each["name"]: each["state"] for each in json.loads(done.stdout)["instances"]}

    def stopped_servers(self) -> set[str]:
        """Return the instances whose server SIGSTOP holds, which the launcher may not know yet."""
        found = self._servers().items()
        return {name for name, servers in found if any(each.is_stopped for each in servers)}

    def calm(self) -> None:
        """Want everything again: all listed, nobody stopped, nobody deaf to SIGTERM."""
        for each in self.wanted.instances:
            each.listed = True
            if each.kind == "deaf":
                each.kind = "plain"
        self.wanted.write()
        self.ask("reload")
        for each in self.wanted.instances:
            if each.held:
                self.ask("start", each.name)
                each.held = False

    # One method per injection; each tells whether there was anything to do it to.

    def signal_servers(self, number: signal.Signals, count: int = 1) -> bool:
        """Send a signal to servers."""
        servers = [each for found in self._servers().values() for each in found]
        victims = self.random.sample(servers, min(count, len(servers)))
        sent = [_send(each.pid, number) for each in victims]
        return any(sent)

    def signal_descendant(self, number: signal.Signals) -> bool:
        """Send a signal to a process that a server has started."""
        servers = {each.pid for found in self._servers().values() for each in found}
        below = [each for each in list_processes(self.mark) if each.pid not in servers]
        return bool(below) and _send(self.random.choice(below).pid, number)

    def flood(self) -> bool:
        """Make a server write 2 MB at once."""
        ready = self._servers()
        able = [each for each in self.wanted.listed() if each.name in ready]
        able = [each for each in able if each.floods < MOST_FLOODS]
        if not able:
            return False
        chosen = self.random.choice(able)
        if not (self.wanted.root / "logs" / f"vllm-server-{chosen.name}.log").stat().st_size:
            return False  # it may not handle the signal yet
        chosen.floods += 1
        return _send(ready[chosen.name][0].pid, signal.SIGUSR1)

    def command(self, verb: str) -> bool:
        """Start, stop or restart an instance."""
        able = [each for each in self._known() if each.held == (verb == "start")]
        if not able:
            return False
        chosen = self.random.choice(able)
        self.ask(verb, chosen.name)
        chosen.held = verb == "stop"
        return True

    def change_settings(self) -> bool:
        """Add, remove and change a few instances, and tell the launcher by SIGHUP or by command."""
        for _ in range(self.random.randint(1, 3)):
            self._change_one()
        self.wanted.write()
        if self.random.random() < 0.5:
            os.kill(self.launcher, signal.SIGHUP)
        else:
            self.ask("reload")
        return True

    def break_settings(self) -> bool:
        """Have the launcher read a file that cannot be used."""
        self.wanted.write(nonsense="port = \n")
        self.ask("reload", expected=BAD_SETTINGS)
        self.wanted.write()
        return True

    def look(self) -> bool:
        """Ask for the status."""
        return bool(self.states())

    def _change_one(self) -> None:
        now = time.monotonic()
        missing = [each for each in self.wanted.instances if not each.listed]
        what = self.random.choice(("add", "remove", "change"))
        if what == "add" and missing:
            chosen = self.random.choice(missing)
            chosen.listed, chosen.listed_at = True, now
        elif what == "remove" and len(missing) < MOST_REMOVED and self._known():
            chosen = self.random.choice(self._known())
            chosen.listed = False  # it may come back before the launcher has seen that
        elif self._known():
            chosen = self.random.choice(self._known())
            chosen.edition += 1
            chosen.kind = self.random.choice(KINDS)

    def _known(self) -> list[Instance]:
        return self.wanted.listed(time.monotonic() - KNOWN_S)

    def _servers(self) -> dict[str, list[Process]]:
        return servers_of(list_processes(self.mark), self.launcher)


def _send(pid: int, number: signal.Signals) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _strike_servers(number: signal.Signals, count: int = 1) -> Callable[[Chaos], bool]:
    return lambda chaos: chaos.signal_servers(number, count)


# What is done, and how often in proportion.
INJECTIONS: dict[str, tuple[int, Callable[[Chaos], bool]]] = {
    "SIGKILL of a server": (18, _strike_servers(signal.SIGKILL)),
    "SIGTERM of a server": (10, _strike_servers(signal.SIGTERM)),
    "SIGSTOP of a server": (5, _strike_servers(signal.SIGSTOP)),
    "unasked exit with code 0": (6, _strike_servers(signal.SIGUSR2)),
    "SIGKILL of ten servers at once": (2, _strike_servers(signal.SIGKILL, 10)),
    "SIGKILL of a descendant": (8, lambda chaos: chaos.signal_descendant(signal.SIGKILL)),
    "SIGSTOP of a descendant": (4, lambda chaos: chaos.signal_descendant(signal.SIGSTOP)),
    "log flood of 2 MB": (20, lambda chaos: chaos.flood()),
    "`vllmd stop`": (6, lambda chaos: chaos.command("stop")),
    "`vllmd start`": (8, lambda chaos: chaos.command("start")),
    "`vllmd restart`": (6, lambda chaos: chaos.command("restart")),
    "`vllmd status`": (4, lambda chaos: chaos.look()),
    "reload of changed settings": (9, lambda chaos: chaos.change_settings()),
    "reload of broken settings": (3, lambda chaos: chaos.break_settings()),
}
