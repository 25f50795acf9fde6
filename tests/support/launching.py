"""Run the real `vllmd run` on stub servers, and look at it from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from tests.support.ports import free_port
from tests.support.processes import MARK, kill_marked, marked_pids, status_field
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STUB = "tests.programs.stub_server"
PROGRAMS = os.path.join(ROOT, "tests", "programs")
# Three that lose their parent at once, and live on; then the program itself.
ORPHANS = "for n in 1 2 3; do (sleep 600 &) ; done; exec sleep 600"
CLOCK = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)


def is_listening(port: int) -> bool:
    """Tell whether somebody accepts connections on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(PATIENCE_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_served(path: str) -> bool:
    """Tell whether somebody accepts connections on a UNIX socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def can_bind(port: int) -> bool:
    """Tell whether nobody holds a port, not even without listening."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class Stub:
    """One instance of a configuration: a stub server on a port of its own."""

    name: str = "a"
    port: int = field(default_factory=free_port)
    control: Mapping[str, object] = field(default_factory=dict)
    server: Mapping[str, object] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    cluster: Mapping[str, object] = field(default_factory=dict)

    def render(self) -> str:
        """Return its tables."""
        path = f"instance.{self.name}"
        address = {} if "uds" in self.server else {"host": "127.0.0.1", "port": self.port}
        return (
            render_table(f"{path}.control", {"stop_timeout_s": 5, "restart": "no", **self.control})
            + render_table(f"{path}.server", {**address, **self.server})
            + render_table(f"{path}.env", self.env)
            + (render_table(f"{path}.cluster", self.cluster) if self.cluster else "")
        )


def render_table(name: str, values: Mapping[str, object]) -> str:
    """Return a TOML table of strings, numbers, booleans and arrays."""
    lines = (f"{key} = {json.dumps(value)}" for key, value in values.items())
    return "\n".join((f"[{name}]", *lines, "", ""))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str


class Run:
    """One `vllmd run` under way, its output in files."""

    def __init__(
        self, words: Sequence[str], folder: Path, environ: Mapping[str, str], stdout: int | None
    ) -> None:
        self.folder = folder
        self._stdout = folder / "stdout"
        self._stderr = folder / "stderr"
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            target: int | IO[bytes] = out if stdout is None else stdout
            self.process = subprocess.Popen(
                words, env=environ, stdin=subprocess.DEVNULL, stdout=target, stderr=err, cwd=folder
            )

    @property
    def pid(self) -> int:
        """Return the launcher's pid."""
        return self.process.pid

    def stdout(self) -> str:
        """Return what it has written to stdout so far."""
        return self._stdout.read_text("utf-8", "replace")

    def stderr(self) -> str:
        """Return what it has written to stderr so far."""
        return self._stderr.read_text("utf-8", "replace")

    def said(self) -> list[str]:
        """Return the lines of stderr without the clock."""
        return CLOCK.sub("", self.stderr()).splitlines()

    def log(self, name: str = "a") -> Path:
        """Return the default log of an instance."""
        return self.folder / "logs" / f"vllm-server-{name}.log"

    def signal(self, number: int) -> None:
        """Send a signal to the launcher."""
        self.process.send_signal(number)

    def signal_together(self, *numbers: int) -> None:
        """Send signals so that they arrive at the same moment, however busy the machine is."""
        self.signal(signal.SIGSTOP)
        wait_until(lambda: status_field(self.pid, "State")[:1] == "T", "the launcher to halt")
        for number in (*numbers, signal.SIGCONT):
            self.signal(number)

    def insist(self, number: int) -> None:
        """Send a signal again until it is heeded: too soon, it is the first one once more."""

        def is_heeded() -> bool:
            self.signal(number)
            return "stopping now" in self.stderr() or self.process.poll() is not None

        wait_until(is_heeded, "a stop at once")

    def wait(self, within_s: float = PATIENCE_S) -> int:
        """Return the exit code, 128 + signal where a signal ended it."""
        try:
            code = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {within_s:g} s:\n{self.stderr()}") from None
        return code if code >= 0 else 128 - code

    def wait_for(self, words: str, within_s: float = PATIENCE_S) -> None:
        """Wait until stderr holds these words."""

        def has_come() -> bool:
            return words in self.stderr() or self.process.poll() is not None

        wait_until(has_come, f"{words!r} in stderr", within_s)
        assert words in self.stderr(), f"{words!r} never came:\n{self.stderr()}"

    def wait_healthy(self, *names: str) -> None:
        """Wait until instances are healthy."""
        for name in names or ("a",):
            self.wait_for(f" {name}: healthy after")

    def pid_of(self, name: str = "a") -> int:
        """Return the pid of an instance or of the main program, as it was said."""
        self.wait_for(f" {name}: started (pid ")
        found = re.search(rf" {re.escape(name)}: started \(pid (\d+)\)", self.stderr())
        assert found
        return int(found[1])


class Launcher:
    """Starts `vllmd run` in a folder; everything it starts carries one mark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.runs: list[Run] = []

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return a small environment that finds the launcher and the stubs."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ROOT,
            "XDG_RUNTIME_DIR": str(self.folder),  # for the control socket
            MARK: self.mark,
            **(extra or {}),
        }

    def write(self, *stubs: Stub, master: Mapping[str, object] | None = None) -> str:
        """Write a configuration; return its path."""
        path = self.folder / "vllm.toml"
        logs = str(self.folder / "logs")
        head = {"python": sys.executable, "api_server_module": STUB, **(master or {})}
        path.write_text(
            render_table("master", head)
            + render_table("instance.control", {"log_dir": logs})
            + "".join(stub.render() for stub in stubs)
        )
        return str(path)

    def start(  # noqa: PLR0913  (all but the stubs by name)
        self,
        *stubs: Stub,
        command: Sequence[str] = (),
        options: Sequence[str] = (),
        master: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        stdout: int | None = None,
    ) -> Run:
        """Write a configuration and run it."""
        words = [self.write(*stubs, master=master), *options]
        return self.start_words(
            *words, *(("--", *command) if command else ()), env=env, prefix=prefix, stdout=stdout
        )

    def start_words(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        stdout: int | None = None,
    ) -> Run:
        """Run `vllmd run` with these words."""
        whole = [*prefix, sys.executable, "-m", "launcher", "run", *words]
        run = Run(whole, self.folder, self.environ(env), stdout)
        self.runs.append(run)
        return run

    def ask(self, *words: str, env: Mapping[str, str] | None = None) -> Asked:
        """Run another command of vllmd to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "launcher", *words],
            env=self.environ(env),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return Asked(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def socket(self) -> str:
        """Return the path of the control socket."""
        return str(self.folder / "vllmd" / "vllmd.sock")

    def listens(self) -> bool:
        """Tell whether somebody listens on the control socket: a killed launcher leaves it."""
        return is_served(self.socket())

    def status(self, name: str = "a") -> dict[str, Any]:
        """Return what `vllmd status` says of an instance."""
        wait_until(self.listens, "the control socket")
        asked = self.ask("status", "--json", "--socket", self.socket())
        assert asked.code in {0, 1}, asked.stderr
        instances = json.loads(asked.stdout)["instances"]
        found: dict[str, Any] = next(each for each in instances if each["name"] == name)
        return found

    def wait_state(self, state: str, name: str = "a") -> dict[str, Any]:
        """Wait until an instance is in a state; return what is said of it then."""

        def reached() -> dict[str, Any] | None:
            found = self.status(name)
            return found if found["state"] == state else None

        found = wait_until(reached, f"'{name}' {state}")
        assert found
        return found

    def left(self) -> list[int]:
        """Return every living process of ours but the test itself."""
        return marked_pids(self.mark)

    def clean(self) -> None:
        """Leave nothing running."""
        kill_marked(self.mark)
        for run in self.runs:
            run.process.wait(PATIENCE_S)
            if run.process.stdout:
                run.process.stdout.close()
