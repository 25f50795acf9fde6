"""Stubs of a server's API, and `vllmd generate` and `vllmd batch` talking to them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.support.launching import ROOT, is_listening, is_served
from tests.support.ports import free_port
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

NO_LAUNCHER = "/nowhere/vllmd.sock"  # else one that happens to run here would be asked


class ApiStub:
    """A stub server that can be ended and started again on its port."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"asked-{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **options: object) -> None:
        """Start it, and wait until it listens: `delay=0.1` is its option `--delay 0.1`."""
        self.kill()  # one that has ended waits to be reaped
        words = [sys.executable, "-m", "tests.programs.stub_api", "--port", str(self.port)]
        words += ["--log", str(self.log)]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        self._process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL)
        path = str(options.get("uds", ""))
        wait_until(lambda: self._has_begun(path), "the stub listens")

    def _has_begun(self, path: str) -> bool:
        """Tell whether it listens; one that ends soon may have ended already."""
        assert self._process is not None
        ended = self._process.poll() is not None
        return ended or (is_served(path) if path else is_listening(self.port))

    def kill(self) -> None:
        """End it, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
        self._process = None

    def wait_dead(self) -> None:
        """Wait until it has ended by itself."""
        assert self._process is not None
        self._process.wait(PATIENCE_S)

    def answered(self) -> list[str]:
        """Return the prompts that it has answered."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@contextlib.contextmanager
def api_stub(folder: Path, **options: object) -> Iterator[ApiStub]:
    """Run a stub until the end of the block."""
    stub = ApiStub(folder)
    try:
        stub.start(**options)
        yield stub
    finally:
        stub.kill()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment without a configuration or a key, and without anybody's launcher."""
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOT, "VLLMD_SOCKET": NO_LAUNCHER}
    return {**own, **(extra or {})}


def vllmd(
    *words: str, env: Mapping[str, str] | None = None, stdin: str = "", within_s: float = PATIENCE_S
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "launcher", *words],
        env=environment(env),
        input=stdin,
        text=True,
        capture_output=True,
        timeout=within_s,
        check=False,
    )


class Batch:
    """A file of requests, a file of results, and runs of `vllmd batch` over them."""

    def __init__(self, folder: Path) -> None:
        self.requests = folder / "requests.jsonl"
        self.results = folder / "results.jsonl"

    def write(self, prompts: Iterable[str], **body: object) -> None:
        """Write one request for each prompt; its custom_id is `id-N`, N from 0."""
        with self.requests.open("w") as file:
            for number, prompt in enumerate(prompts):
                file.write(request_line(f"id-{number}", prompt, **body))

    def words(self, server: str, *options: str) -> list[str]:
        """Return the command line without `vllmd`."""
        return ["batch", server, "-i", str(self.requests), "-o", str(self.results), *options]

    def run(
        self, server: str, *options: str, within_s: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return vllmd(*self.words(server, *options), within_s=within_s)

    def start(self, server: str, *options: str) -> subprocess.Popen[str]:
        """Start it."""
        return subprocess.Popen(
            [sys.executable, "-m", "launcher", *self.words(server, *options)],
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )

    def lines(self) -> list[dict[str, Any]]:
        """Return the results; each line has to be one."""
        return [json.loads(line) for line in self.results.read_bytes().splitlines()]

    def count(self) -> int:
        """Return how many results there are, also while one is being written."""
        return self.results.read_bytes().count(b"\n") if self.results.exists() else 0

    def size(self) -> int:
        """Return how large the results are."""
        return self.results.stat().st_size if self.results.exists() else 0

    def assert_each_once(self, count: int) -> None:
        """Make sure that each request has one result, and nothing else is there."""
        found = Counter(line["custom_id"] for line in self.lines())
        assert found == Counter(f"id-{number}" for number in range(count))

    def by_id(self) -> dict[str, dict[str, Any]]:
        """Return the results by their custom_id."""
        return {line["custom_id"]: line for line in self.lines()}


def request_line(custom_id: str, prompt: str, **body: object) -> str:
    """Return one line of requests: a chat."""
    value = {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "stub", "messages": [{"role": "user", "content": prompt}], **body},
    }
    return json.dumps(value) + "\n"


def wait_said(process: subprocess.Popen[str], words: str) -> None:
    """Read what a batch says until it says these words."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            return
    raise AssertionError(f"it ended without {words!r}:\n{said}")


def interrupt(process: subprocess.Popen[str], number: int = signal.SIGINT) -> tuple[int, str]:
    """Send a signal; return the exit code and what was said."""
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said
