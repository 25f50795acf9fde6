"""Containers of a real engine, looked at from outside."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import uuid
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from tests.support.images import LABEL
from tests.support.launching import CLOCK, PROGRAMS, ROOT, STUB, Stub, render_table
from tests.support.processes import read_proc, status_field
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PYTHON = "/usr/bin/python3"  # of the base image
CONFIG = "/model-configs/vllm.toml"
START_S = 180.0  # only what is broken takes that long
# The image's own check would be one more process, every now and then.
NO_HEALTHCHECK = {"test": ["NONE"]}
# The engine's own image that would remove what is left cannot be pulled; `Boxes.clean` does it.
testcontainers_config.ryuk_disabled = True


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of a container, by its pid on this machine."""

    pid: int
    words: str


class Box:
    """One container."""

    def __init__(self, container: Any) -> None:
        self._container = container

    @property
    def name(self) -> str:
        """Return the name that the engine gave it."""
        return str(self._container.name)

    def details(self) -> Any:
        """Return what `docker inspect` shows."""
        self._container.reload()
        return self._container.attrs

    def is_running(self) -> bool:
        """Tell whether its PID 1 lives."""
        return bool(self.details()["State"]["Running"])

    def health(self) -> str:
        """Return what the HEALTHCHECK says: starting, healthy or unhealthy."""
        return str(self.details()["State"]["Health"]["Status"])

    def checks(self) -> list[str]:
        """Return what the last runs of the HEALTHCHECK have said, the latest one last."""
        return [str(each["Output"]) for each in self.details()["State"]["Health"]["Log"] or ()]

    def stdout(self) -> str:
        """Return what it has written to stdout."""
        return self._container.logs(stdout=True, stderr=False).decode("utf-8", "replace")  # type: ignore[no-any-return]

    def stderr(self) -> str:
        """Return what it has written to stderr."""
        return self._container.logs(stdout=False, stderr=True).decode("utf-8", "replace")  # type: ignore[no-any-return]

    def said(self) -> list[str]:
        """Return the lines of stderr without the clock."""
        return CLOCK.sub("", self.stderr()).splitlines()

    def wait_for(self, words: str, within_s: float = START_S) -> None:
        """Wait until stderr holds these words."""
        wait_until(
            lambda: words in self.stderr() or not self.is_running(),
            f"{words!r} in stderr",
            within_s,
        )
        assert words in self.stderr(), f"{words!r} never came:\n{self.stderr()}"

    def wait_healthy(self, *names: str, within_s: float = START_S) -> None:
        """Wait until instances are healthy, by the launcher's word."""
        for name in names or ("a",):
            self.wait_for(f" {name}: healthy after", within_s)

    def wait(self, within_s: float = START_S) -> int:
        """Wait for its end; return its exit code."""
        wait_until(lambda: not self.is_running(), f"the end of {self.name}", within_s)
        return int(self.details()["State"]["ExitCode"])

    def stop(self, grace_s: int = 120) -> int:
        """Stop it as `docker stop` does; return the exit code, 137 where the engine had to kill."""
        self.ask_to_stop(grace_s)
        return self.wait()

    def ask_to_stop(self, grace_s: int) -> None:
        """Do what `docker stop` does."""
        self._container.stop(timeout=grace_s)

    def signal(self, name: str) -> None:
        """Send a signal to PID 1, unless it has ended."""
        try:
            self._container.kill(signal=name)
        except APIError as error:
            if error.status_code != HTTPStatus.CONFLICT:
                raise

    def exec(self, *words: str, user: str = "") -> tuple[int, str]:
        """Run a program in it; return its exit code and what it said."""
        code, output = self._container.exec_run(list(words), user=user)
        return int(code), output.decode("utf-8", "replace")

    def status(self, name: str = "a") -> Any:
        """Return what `vllmd status` in it says of an instance."""
        _, text = self.exec("vllmd", "status", "--json")
        return next(each for each in json.loads(text)["instances"] if each["name"] == name)

    def pid(self) -> int:
        """Return the pid that its PID 1 has on this machine."""
        return int(self.details()["State"]["Pid"])

    def processes(self) -> list[Process]:
        """Return its processes, zombies too."""
        table = self._container.top(ps_args="-eo pid,args")
        return [Process(pid=int(row[0]), words=row[1]) for row in table["Processes"]]

    def wait_reaped(self) -> None:
        """Wait until it has no process that nobody has reaped."""
        wait_until(lambda: not self._zombies(), f"no zombie in {self.name}", START_S)

    def _zombies(self) -> list[Process]:
        return [each for each in self.processes() if status_field(each.pid, "State")[:1] == "Z"]

    def port(self, inner: int) -> int:
        """Return the port of this machine where one of its ports is published."""
        return int(self.details()["NetworkSettings"]["Ports"][f"{inner}/tcp"][0]["HostPort"])


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a container is to be; `options` are those of the engine's SDK."""

    command: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)  # `host path -> path:mode`
    ports: Sequence[int] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)


class Boxes:
    """Starts containers of one image; whatever is left of them is removed at the end."""

    def __init__(self, client: Any, image: str, folder: Path) -> None:
        self.image = image
        self.folder = folder
        self._client = client
        self.mark = uuid.uuid4().hex

    def write(self, *stubs: Stub) -> Path:
        """Write a configuration for the inside; return its path on this machine."""
        path = self.folder / "vllm.toml"
        path.write_text(
            render_table("master", {"python": PYTHON, "api_server_module": STUB})
            + render_table("instance.control", {"log_dir": "/logs"})
            + "".join(stub.render() for stub in stubs)
        )
        return path

    def start(self, *stubs: Stub, wish: Wish | None = None) -> Box:
        """Run the image with stub servers, as a user would: mounts and variables only."""
        config = self.write(*stubs)
        asked = wish or Wish()
        environ = {"AUTO_INFER_VLLM_CONFIG": CONFIG, "PYTHONPATH": "/stub", **asked.environ}
        volumes = {str(config): f"{CONFIG}:ro", PROGRAMS: "/stub/tests/programs:ro"}
        return self.run(replace(asked, environ=environ, volumes={**volumes, **asked.volumes}))

    def run(self, wish: Wish) -> Box:
        """Run the image as wished."""
        own = {"labels": {LABEL: self.mark}, "healthcheck": NO_HEALTHCHECK}
        options = {**own, **wish.options}
        container = DockerContainer(self.image).with_kwargs(**options)
        container.with_exposed_ports(*wish.ports).with_envs(**wish.environ)
        if wish.command:
            container.with_command(list(wish.command))
        for host, place in wish.volumes.items():
            container.with_volume_mapping(host, *place.rsplit(":", 1))
        for place, size in wish.tmpfs.items():
            container.with_tmpfs_mount(place, size)
        container.start()
        return Box(container.get_wrapped_container())

    def wait_for_other(self, name: str) -> Box:
        """Return a container that somebody else starts, as soon as it runs."""

        def find() -> Box | None:
            try:
                box = Box(self._client.containers.get(name))
            except NotFound:
                return None
            return box if box.is_running() else None

        box = wait_until(find, f"the container {name} to run", START_S)
        assert box
        return box

    def clean(self) -> list[str]:
        """Remove our containers and their volumes; return what they said."""
        said = []
        for each in self._client.containers.list(
            all=True, filters={"label": f"{LABEL}={self.mark}"}, ignore_removed=True
        ):
            try:
                said.append(each.logs().decode("utf-8", "replace"))
                each.remove(force=True, v=True)
            except APIError as error:  # `docker run --rm` has removed it, or is about to
                if error.status_code not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                    raise
        return said


@contextlib.contextmanager
def running(
    words: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command line, its output in files; it has ended when this ends."""
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            words, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(START_S)


def pids_in_container(container_id: str) -> list[int]:
    """Return every process of this machine that is in a container's control group."""
    wanted = container_id.encode()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if wanted in read_proc(pid, "cgroup")]
