"""`python -m benchmarks guest`: `vllmd-hypervisor start` beside plain QEMU, with the same image.

Both boot the same kernel and root with the same CPUs and memory; what is compared is what stands
between a user and the guest. Needs root, and what `image build` needs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.processes import descendants, memory_of
from benchmarks.report import Measurement, machine, render_table, write_json
from launcher.hypervisor.guest.manifest import require_manifest
from launcher.hypervisor.guest.seed import write_seed_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.hypervisor.guest.manifest import ImageManifest

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_name("results")
IMAGE = ROOT / "build" / "bench-guest"
LEAST_RUNS = 5
PATIENCE_S = 300.0
LOOK_S = 0.005
CPUS, MEMORY_MIB = 2, 512
GUEST_PORT = 8000
# What the guest's console says when the entrypoint has executed its first server.
RUNNING = b"vllmd: a: started (pid "
OURS, PLAIN, BARE = "vllmd-hypervisor", "plain qemu", "bare python3"
CONFIG = f"""\
[master]
python = "/usr/bin/python3"
api_server_module = "benchmarks.stub_server"
[master.env]
PYTHONPATH = "/opt/bench"
[instance.a.control]
gpu_ids = "none"
[instance.a.server]
host = "0.0.0.0"
port = {GUEST_PORT}
"""
HYPERVISOR = (
    sys.executable,
    "-c",
    "from launcher.cli.hypervisor.main import main; raise SystemExit(main())",
)


@dataclass(frozen=True)
class Times:
    """One guest's life, in seconds since its program was executed; the stop since it was asked."""

    running_s: float
    healthy_s: float
    stop_s: float
    cpu_s: float  # of the program and all below it, until healthy: little depends on the load
    memory: int = 0  # of the supervisor, in kB: what it shares with nobody


class Place:
    """Where one guest has its files, and the port that leads to it."""

    def __init__(self, folder: str, image: ImageManifest) -> None:
        self.image = image
        self.folder = folder
        self.seed = os.path.join(folder, "seed.img")
        self.console = os.path.join(folder, "console.log")
        write_seed_image(self.seed, {"vllm.toml": CONFIG.encode()})
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]

    def wait_running(self) -> None:
        """Wait until the guest's entrypoint has executed its server."""
        self._wait(self._is_running)

    def wait_healthy(self) -> None:
        """Wait until the server answers on the published port."""
        self._wait(self._is_healthy)

    def _wait(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError(f"the guest in {self.folder} did not come up")
            time.sleep(LOOK_S)

    def _is_running(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return RUNNING in Path(self.console).read_bytes()
        return False

    def _is_healthy(self) -> bool:
        address = ("127.0.0.1", self.port)
        try:
            with socket.create_connection(address, timeout=2) as connection:
                connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def run_ours(place: Place) -> Times:
    """Boot and stop a guest with the product."""
    environ = {
        **os.environ,
        "XDG_RUNTIME_DIR": place.folder,
        "VLLMD_HYPERVISOR_NAME": f"bench-{place.port}",
        "VLLMD_HYPERVISOR_KERNEL_FILEPATH": place.image.kernel,
        "VLLMD_HYPERVISOR_SYSTEM_IMAGE_FILEPATH": place.image.image,
        "VLLMD_HYPERVISOR_CONFIG_IMAGE_FILEPATH": place.seed,
        "VLLMD_HYPERVISOR_CPU_COUNT": str(CPUS),
        "VLLMD_HYPERVISOR_MEMORY_CONFIG": f"size={MEMORY_MIB}M,shared=on",
        "VLLMD_HYPERVISOR_BACKEND": "qemu",
        "VLLMD_HYPERVISOR_ACCEL": "tcg",
        "VLLMD_HYPERVISOR_PUBLISH": f"{place.port}:{GUEST_PORT}",
        "VLLMD_HYPERVISOR_LOG_FILEPATH": place.console,
    }
    with _process([*HYPERVISOR, "start"], environ) as process:
        began = time.monotonic()
        place.wait_running()
        running_s = time.monotonic() - began
        place.wait_healthy()
        healthy_s = time.monotonic() - began
        cpu_s = processor_seconds(process.pid)
        memory = memory_of(process.pid).pss
        began = time.monotonic()
        subprocess.run([*HYPERVISOR, "stop"], env=environ, check=True, capture_output=True)
        stop_s = time.monotonic() - began
        process.wait(PATIENCE_S)
    return Times(
        running_s=running_s, healthy_s=healthy_s, stop_s=stop_s, cpu_s=cpu_s, memory=memory
    )


def run_plain(place: Place) -> Times:
    """Boot and stop the same guest with QEMU alone, by hand as it were."""
    monitor = os.path.join(place.folder, "monitor")
    with _process(plain_words(place, monitor), dict(os.environ)) as process:
        began = time.monotonic()
        place.wait_running()
        running_s = time.monotonic() - began
        place.wait_healthy()
        healthy_s = time.monotonic() - began
        cpu_s = processor_seconds(process.pid)
        began = time.monotonic()
        press_button(monitor)
        process.wait(PATIENCE_S)
        stop_s = time.monotonic() - began
    return Times(running_s=running_s, healthy_s=healthy_s, stop_s=stop_s, cpu_s=cpu_s)


def plain_words(place: Place, monitor: str) -> list[str]:
    """Return a command line as one would write it oneself."""
    forward = f"hostfwd=tcp:127.0.0.1:{place.port}-:{GUEST_PORT}"
    shared = f"memory-backend-memfd,id=m,size={MEMORY_MIB}M,share=on"
    # fmt: off
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
        "-M", "q35,memory-backend=m", "-accel", "tcg,thread=multi", "-cpu", "max",
        "-smp", str(CPUS), "-m", f"{MEMORY_MIB}M", "-object", shared,
        "-kernel", place.image.kernel, "-initrd", place.image.initramfs,
        "-append", place.image.cmdline, "-no-reboot",
        "-drive", f"file={place.image.image},format=raw,if=none,id=d0,readonly=on",
        "-device", "virtio-blk-pci,drive=d0",
        "-drive", f"file={place.seed},format=raw,if=none,id=d1,readonly=on",
        "-device", "virtio-blk-pci,drive=d1",
        "-netdev", f"user,id=n0,{forward}", "-device", "virtio-net-pci,netdev=n0,romfile=",
        "-serial", f"file:{place.console}", "-qmp", f"unix:{monitor},server=on,wait=off",
    ]
    # fmt: on


def press_button(monitor: str) -> None:
    """Press a guest's power button over QEMU's monitor."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(monitor)
        with connection.makefile("rwb") as stream:
            stream.readline()
            for command in ("qmp_capabilities", "system_powerdown"):
                stream.write(json.dumps({"execute": command}).encode() + b"\n")
                stream.flush()
                stream.readline()


@contextlib.contextmanager
def _process(words: list[str], environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        words, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=None
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(PATIENCE_S)


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process and all below it, children that ended too."""
    ticks = 0
    for each in (pid, *descendants(pid)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = (
                Path(f"/proc/{each}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            )
            ticks += sum(map(int, words[11:15]))  # proc(5): utime, stime, cutime, cstime
    return ticks / os.sysconf("SC_CLK_TCK")


def bare_memory() -> int:
    """Return what a Python that does nothing takes, in kB."""
    words = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout  # noqa: S101  (it was asked for)
        process.stdout.readline()
        found = memory_of(process.pid).pss
        process.communicate(b"\n")
    return found


def measure(image: ImageManifest, runs: int) -> list[Measurement]:
    """Boot guests in turns, so that noise of the machine hits both alike."""
    ours: list[Times] = []
    plain: list[Times] = []
    for number in range(runs):
        print(f"guest {number + 1} of {runs} ...", file=sys.stderr)
        for run, found in ((run_plain, plain), (run_ours, ours)):
            with tempfile.TemporaryDirectory(prefix="vm-") as folder:
                found.append(run(Place(folder, image)))
    rows = [
        ("exec to entrypoint running", "running_s"),
        ("exec to healthy", "healthy_s"),
        ("processor time until healthy", "cpu_s"),
        ("stop", "stop_s"),
    ]
    measurements = []
    for title, field in rows:
        for name, found in ((PLAIN, plain), (OURS, ours)):
            value = median(getattr(each, field) for each in found)
            measurements.append(
                Measurement(title=title, name=name, unit="s", value=value, base=PLAIN)
            )
    title = "memory of the supervisor (PSS)"
    memory = median(each.memory for each in ours)
    return [
        *measurements,
        Measurement(title=title, name=BARE, unit="kB", value=bare_memory(), base=BARE),
        Measurement(title=title, name=OURS, unit="kB", value=memory, base=BARE),
    ]


def main(argv: list[str]) -> int:
    """Measure, print a table, and write the same as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks guest", description=__doc__)
    parser.add_argument("--image", default=str(IMAGE), help="of 'image build'; made if missing")
    parser.add_argument("--runs", type=int, default=LEAST_RUNS, help="medians of how many")
    options = parser.parse_args(argv)
    if not os.path.exists(options.image):
        added = f"{Path(__file__).parent}:/opt/bench/benchmarks"
        words = [*HYPERVISOR, "image", "build", "--output", options.image, "--add", added]
        subprocess.run(words, check=True, cwd=ROOT)
    measurements = measure(require_manifest(options.image), options.runs)
    print(", ".join(f"{key}: {value}" for key, value in machine().items()), end="\n\n")
    print(render_table(measurements))
    print(f"\nwritten to {write_json(RESULTS, measurements, options.runs)}", file=sys.stderr)
    return 0
