"""Run the real `vllmd-hypervisor` on real guests, and look at both from outside."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any

from launcher.hypervisor.guest.seed import write_seed_image
from launcher.hypervisor.model import SEED_CONFIG, SEED_OVERRIDES
from tests.support.guest_images import HYPERVISOR, STUBS
from tests.support.launching import ROOT, Asked, render_table
from tests.support.ports import free_port
from tests.support.processes import MARK, kill_marked, marked_pids
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.hypervisor.guest.manifest import ImageManifest

GUEST_PORT = 8000
END_S = 300.0  # for `start` to end once the guest has to
# For the guest to shut down by itself: only a broken one needs it, or a machine that hardly moves.
STOP_S = 300
# An emulated guest on a busy machine: what takes 8 s when it is quiet.
BOOT_S = 600.0


def stub_config(
    *names: str,
    master: Mapping[str, object] | None = None,
    server: Mapping[str, object] | None = None,
    control: Mapping[str, object] | None = None,
) -> str:
    """Return a configuration of stub servers inside a guest, on ports from 8000 on."""
    head = {"python": "/usr/bin/python3", "api_server_module": "tests.programs.stub_server"}
    text = render_table("master", {**head, **(master or {})})
    text += render_table("master.env", {"PYTHONPATH": STUBS})
    text += render_table(
        "instance.control", {"gpu_ids": "none", "restart": "no", **(control or {})}
    )
    for number, name in enumerate(names or ("a",)):
        address = {"host": "0.0.0.0", "port": GUEST_PORT + number}  # noqa: S104  (of the guest)
        text += render_table(f"instance.{name}.server", {**address, **(server or {})})
    return text


class Guest:
    """One guest by name, started in a run directory of its own."""

    def __init__(self, image: ImageManifest, other: str = "") -> None:
        # Short: the path of a socket has 107 bytes at most.
        self.folder = tempfile.mkdtemp(prefix="vm-")
        self.image = image
        self.port = free_port()
        self.mark = uuid.uuid4().hex
        # This machine may have guests of its own, the default one above all.
        self.name = f"test-{self.mark[:8]}{other}"
        self.seed = os.path.join(self.folder, "seed.img")
        self._started: list[subprocess.Popen[bytes]] = []

    def write_seed(self, config: str, overrides: Mapping[str, object] | None = None) -> None:
        """Write the config image."""
        files = {SEED_CONFIG: config.encode()}
        if overrides is not None:
            files[SEED_OVERRIDES] = json.dumps(overrides).encode()
        write_seed_image(self.seed, files)

    def write_file(self, name: str, text: str) -> str:
        """Write a file into the guest's folder on the host; return its path."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a guest on QEMU without KVM, its port 8000 published."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ROOT,
            "HOME": self.folder,
            "XDG_RUNTIME_DIR": self.folder,
            MARK: self.mark,
            "VLLMD_HYPERVISOR_NAME": self.name,
            "VLLMD_HYPERVISOR_KERNEL_FILEPATH": self.image.kernel,
            "VLLMD_HYPERVISOR_SYSTEM_IMAGE_FILEPATH": self.image.image,
            "VLLMD_HYPERVISOR_CONFIG_IMAGE_FILEPATH": self.seed,
            "VLLMD_HYPERVISOR_CPU_COUNT": "2",
            "VLLMD_HYPERVISOR_MEMORY_CONFIG": "size=512M,shared=on",
            "VLLMD_HYPERVISOR_BACKEND": "qemu",
            "VLLMD_HYPERVISOR_ACCEL": "tcg",
            "VLLMD_HYPERVISOR_PUBLISH": f"{self.port}:{GUEST_PORT}",
            "VLLMD_HYPERVISOR_LOG_FILEPATH": self.log,
            "VLLMD_HYPERVISOR_STOP_TIMEOUT": str(STOP_S),
            **(extra or {}),
        }

    @property
    def log(self) -> str:
        """Return the path of the guest's log."""
        return os.path.join(self.folder, "guest.log")

    def start(self, *options: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Run `start` in the foreground; what it says is in `said`."""
        with open(os.path.join(self.folder, "said"), "ab") as said:
            process = subprocess.Popen(
                [*HYPERVISOR, "start", *options],
                env=self.environ(env),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self.folder,
            )
        self._started.append(process)
        return process

    def said(self) -> str:
        """Return what `start` has said, and the end of the guest's log."""
        texts = []
        for path in (os.path.join(self.folder, "said"), self.log):
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
                texts.append(file.read().decode("utf-8", "replace"))
        return "\n".join(texts)

    def ask(
        self, *words: str, env: Mapping[str, str] | None = None, limit_s: float = 2 * STOP_S
    ) -> Asked:
        """Run a command to its end."""
        done = subprocess.run(
            [*HYPERVISOR, *words],
            env=self.environ(env),
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
            cwd=self.folder,
        )
        return Asked(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def status(self) -> dict[str, Any]:
        """Return what `status --json` says."""
        asked = self.ask("status", "--json")
        found: dict[str, Any] = json.loads(asked.stdout)
        return found

    def wait_for(self, words: str, within_s: float = BOOT_S) -> None:
        """Wait until `start` or the guest has said something."""
        wait_until(lambda: words in self.said(), f"{words!r} in:\n{self.said()}", within_s)

    def wait_status(
        self, check: Callable[[dict[str, Any]], bool], what: str, within_s: float = BOOT_S
    ) -> dict[str, Any]:
        """Wait until the status is as wanted; return it."""
        found: dict[str, Any] = {}

        def reached() -> bool:
            found.clear()
            found.update(self.status())
            return check(found)

        wait_until(reached, what, within_s)
        return found

    def get(self, page: str = "/health") -> int:
        """Return the status code of a page on the published port; 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{page}", timeout=5) as answer:
                code: int = answer.status
                return code
        except OSError:
            return 0

    def wait_healthy(self, within_s: float = BOOT_S) -> None:
        """Wait until the stub answers through the published port."""
        wait_until(lambda: self.get() == 200, f"health; so far:\n{self.said()}", within_s)

    def left(self) -> list[int]:
        """Return every living process of ours."""
        return marked_pids(self.mark)

    def clean(self) -> None:
        """Leave nothing running, and no file."""
        kill_marked(self.mark)
        for process in self._started:
            process.wait(60)
        shutil.rmtree(self.folder)
