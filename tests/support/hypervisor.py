"""Run `vllmd-hypervisor` with guests of a hundred bytes, or with a fake of Cloud Hypervisor."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.hypervisor.guest.seed import write_seed_image
from launcher.hypervisor.identity import find_identity
from launcher.hypervisor.model import SEED_CONFIG
from launcher.hypervisor.rundir import RunDir
from tests.support import tiny_guest
from tests.support.launching import ROOT, Asked
from tests.support.processes import MARK, kill_marked, marked_pids
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.hypervisor.guest.manifest import ImageManifest

# The official description of Cloud Hypervisor's API, which is not ours to pass on.
OPENAPI = Path(
    os.environ.get("CLOUD_HYPERVISOR_OPENAPI")
    or Path(ROOT).parent / "shared/reference/cloud-hypervisor.yaml"
)
FAKE = Path(ROOT) / "tests/programs/fake_cloud_hypervisor.py"
HELLO = tiny_guest.HELLO.decode().strip()
QEMU, FAKE_CH = "qemu", "cloud-hypervisor"
# How a guest behaves: a kernel for QEMU, knobs for the fake.
GUESTS = {
    "obeys": (tiny_guest.OBEYS, {}),
    "ignores": (tiny_guest.IGNORES, {"button": "ignore"}),
}
GRACE_S = 90  # the button is pressed every 10 s of it: one press may be lost on a busy machine
SHORT_GRACE = {"VLLMD_HYPERVISOR_STOP_TIMEOUT": "0.5"}


class Host:
    """A folder to run guests in: images, a run directory, a log."""

    hello = HELLO  # what a guest's console says once it has booted
    memory = 32 << 20
    within_s = 90.0  # for a guest to boot

    def __init__(self, backend: str) -> None:
        # Short: the path of a socket has 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="hv-"))
        self.backend = backend
        self.mark = uuid.uuid4().hex
        # This machine may have guests of its own, the default one above all.
        self.name = f"test-{self.mark[:8]}"
        self._started: list[subprocess.Popen[bytes]] = []
        for name in ("kernel", "config.img"):
            self.file(name, b"x" * 512)
        for behaviour, (code, _) in GUESTS.items():
            self.file(behaviour, tiny_guest.render_kernel(code))
        self.file(
            "bin/cloud-hypervisor", f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n'.encode()
        )
        (self.folder / "bin/cloud-hypervisor").chmod(0o755)

    def file(self, name: str, content: bytes) -> str:
        """Write a file; return its path."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def environ(
        self, extra: Mapping[str, str] | None = None, *, other: str = "", guest: str = "obeys"
    ) -> dict[str, str]:
        """Return the environment of a guest that behaves in this way, or of another beside it."""
        name = self.name + other
        system = f"{name}.img"
        if not (self.folder / system).exists():
            self.file(system, b"x" * 512)
        path = os.environ["PATH"]
        if self.backend == FAKE_CH:
            path = f"{self.folder}/bin:{path}"
        return {
            "PATH": path,
            "PYTHONPATH": ROOT,
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            MARK: self.mark,
            "FAKE_CH": json.dumps(GUESTS[guest][1]),
            "FAKE_CH_OPENAPI": str(OPENAPI) if OPENAPI.exists() else "",
            "FAKE_CH_BROKEN": str(self.folder / "broken"),
            "VLLMD_HYPERVISOR_NAME": name,
            "VLLMD_HYPERVISOR_KERNEL_FILEPATH": str(self.folder / guest),
            "VLLMD_HYPERVISOR_SYSTEM_IMAGE_FILEPATH": str(self.folder / system),
            "VLLMD_HYPERVISOR_CONFIG_IMAGE_FILEPATH": str(self.folder / "config.img"),
            "VLLMD_HYPERVISOR_CPU_COUNT": "1",
            "VLLMD_HYPERVISOR_MEMORY_CONFIG": f"size={self.memory},shared=on",
            "VLLMD_HYPERVISOR_LOG_FILEPATH": str(self.folder / f"{name}.log"),
            "VLLMD_HYPERVISOR_BACKEND": self.backend,
            "VLLMD_HYPERVISOR_ACCEL": "tcg" if self.backend == QEMU else "auto",
            "VLLMD_HYPERVISOR_STOP_TIMEOUT": str(GRACE_S),
            **(extra or {}),
        }

    def start(
        self, *options: str, env: Mapping[str, str], stdout: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Run `start` in the foreground, with a whole environment; it says things in `said`."""
        with open(self.folder / "said", "ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-B", "-m", "tests.programs.start_guest", *options],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=said if stdout is None else stdout,
                stderr=said,
                cwd=self.folder,
            )
        self._started.append(process)
        return process

    def run(self, *options: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a guest, and come back once it has said hello, and its supervisor knows it."""
        log = Path(env["VLLMD_HYPERVISOR_LOG_FILEPATH"])
        rundir = RunDir(path=str(self.rundir(env["VLLMD_HYPERVISOR_NAME"])))
        former = _count(log, self.hello)
        process = self.start(*options, env=env)

        def is_up() -> bool:
            state = rundir.find_state()
            has_booted = state is not None and state.ready_at > 0
            return has_booted and _count(log, self.hello) > former

        wait_until(lambda: is_up() or process.poll() is not None, "the guest is up", self.within_s)
        assert process.poll() is None, f"it ended at once: {self.said()}"
        return process

    def ask(
        self, *words: str, env: Mapping[str, str], before: Callable[[], None] | None = None
    ) -> Asked:
        """Run a command to its end; `before` is called in the child, before its exec."""
        program = ["-m", "launcher.cli.hypervisor"]
        if words[0] == "start":
            program, words = ["-m", "tests.programs.start_guest"], words[1:]
        done = subprocess.run(
            [sys.executable, "-B", *program, *words],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * GRACE_S,
            check=False,
            cwd=self.folder,
            preexec_fn=before,
        )
        return Asked(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def status(self, env: Mapping[str, str]) -> dict[str, Any]:
        """Return what `status --json` says."""
        found: dict[str, Any] = json.loads(self.ask("status", "--json", env=env).stdout)
        return found

    def wait_state(self, state: str, env: Mapping[str, str]) -> dict[str, Any]:
        """Wait until the status is this; return it."""
        found: dict[str, Any] = {}

        def reached() -> bool:
            found.update(self.status(env))
            return bool(found["state"] == state)

        wait_until(reached, f"status {state}; so far: {self.said()}", self.within_s)
        return found

    def said(self) -> str:
        """Return what `start` has said so far."""
        path = self.folder / "said"
        return path.read_text() if path.exists() else ""

    def rundir(self, name: str = "") -> Path:
        """Return the run directory of a guest."""
        return self.folder / "vllmd-hypervisor" / (name or self.name)

    def left(self) -> list[str]:
        """Return what is left of all guests: processes, and files in run directories."""
        base = self.folder / "vllmd-hypervisor"
        found = base.rglob("*") if base.exists() else ()
        # That KVM works is worth remembering for the next guest.
        files = [str(path.relative_to(base)) for path in found if path.name != "kvm-works"]
        return [*map(str, marked_pids(self.mark)), *files]

    def broken(self) -> str:
        """Return how our requests broke the official description of the API."""
        path = self.folder / "broken"
        return path.read_text() if path.exists() else ""

    def clean(self) -> None:
        """Leave nothing running, and no file."""
        kill_marked(self.mark)
        for process in self._started:
            process.wait(60)
        shutil.rmtree(self.folder)


class RealHost(Host):
    """With the genuine Cloud Hypervisor, KVM, and a guest that has a kernel."""

    hello = "Run /init as init process"
    memory = 512 << 20
    within_s = 240.0

    def __init__(self, image: ImageManifest) -> None:
        super().__init__(FAKE_CH)
        shutil.rmtree(self.folder / "bin")
        self.image = image
        write_seed_image(
            str(self.folder / "config.img"), {SEED_CONFIG: b"[master]\nenable = false\n"}
        )

    def environ(
        self, extra: Mapping[str, str] | None = None, *, other: str = "", guest: str = "obeys"
    ) -> dict[str, str]:
        """Return the environment of a guest; a shell as init ignores the button."""
        words = [word for word in self.image.cmdline.split() if word != "quiet"]
        if guest == "ignores":
            words = [*(word for word in words if not word.startswith("init=")), "init=/bin/sh"]
        return super().environ(
            {
                "VLLMD_HYPERVISOR_KERNEL_FILEPATH": self.image.kernel,
                "VLLMD_HYPERVISOR_SYSTEM_IMAGE_FILEPATH": self.image.image,
                "VLLMD_HYPERVISOR_CMDLINE": " ".join(words),
                **(extra or {}),
            },
            other=other,
        )


class Listener:
    """systemd's end of NOTIFY_SOCKET."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)  # noqa: FBT003
        self.heard: list[str] = []

    def has(self, word: str) -> bool:
        """Tell whether a line has come."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard += self._socket.recv(4096).decode().splitlines()
        return word in self.heard

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def kill(pid: int) -> None:
    """Kill a process, and wait until it has gone."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: find_identity(pid) is None, f"process {pid} has gone", within_s=60)


def _count(log: Path, words: str) -> int:
    return log.read_text().count(words) if log.exists() else 0
