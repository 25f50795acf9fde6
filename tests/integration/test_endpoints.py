"""What the outside sees: the read-only pages, and systemd."""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from tests.support.launching import Stub
from tests.support.ports import free_port
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.launching import Launcher, Run


def get(port: int, page: str) -> tuple[int, str]:
    """Return status and body of a page."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}{page}", timeout=PATIENCE_S
        ) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def start(launcher: Launcher, *stubs: Stub) -> tuple[Run, int]:
    """Run stubs with the pages on a port."""
    port = free_port()
    run = launcher.start(*stubs, master={"listen": f"127.0.0.1:{port}"})
    return run, port


def test_readyz_turns_good_when_all_are_ready(launcher: Launcher) -> None:
    gate = launcher.folder / "gate"
    run, port = start(launcher, Stub(name="a"), Stub(name="b", server={"stub_gate": str(gate)}))
    run.wait_healthy("a")
    assert get(port, "/readyz") == (503, "b: starting\n")
    assert get(port, "/healthz") == (200, "alive\n")
    gate.touch()
    run.wait_healthy("b")
    assert get(port, "/readyz") == (200, "ready\n")


def test_metrics_and_targets_name_the_instances(launcher: Launcher) -> None:
    stub = Stub()
    run, port = start(launcher, stub)
    run.wait_healthy()
    status, text = get(port, "/metrics")
    assert status == 200
    assert 'vllmd_instance_up{name="a"} 1\n' in text
    targets = json.loads(get(port, "/targets")[1])
    assert targets[0]["targets"] == [f"127.0.0.1:{stub.port}"]


def test_pages_are_read_only(launcher: Launcher) -> None:
    run, port = start(launcher, Stub())
    run.wait_healthy()
    for page in ("/status", "/logs/a", "/stop/a"):
        assert get(port, page)[0] == 404


def test_port_of_the_pages_that_is_taken_forbids_the_start(launcher: Launcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        run = launcher.start(Stub(), master={"listen": f"127.0.0.1:{port}"})
        assert run.wait() == 71
    assert "the launcher cannot listen: port" in run.stderr()


def test_port_of_an_instance_is_refused(launcher: Launcher) -> None:
    stub = Stub()
    run = launcher.start(stub, master={"listen": f"127.0.0.1:{stub.port}"})
    assert run.wait() == 78
    assert f"'a' listens on 127.0.0.1:{stub.port} too" in run.stderr()


def test_address_that_is_none_is_refused(launcher: Launcher) -> None:
    run = launcher.start(Stub(), master={"listen": "9180"})
    assert run.wait() == 78
    assert "expected HOST:PORT with the number of an address, got '9180'" in run.stderr()


class Systemd:
    """Receives what sd_notify sends."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.settimeout(0)
        self.lines: list[str] = []

    def heard(self, line: str) -> bool:
        """Tell whether a line has come."""
        self.lines += self._new()
        return line in self.lines

    def wait_for(self, line: str) -> None:
        """Wait until a line has come."""
        wait_until(lambda: self.heard(line), f"{line!r} in {self.lines}")

    def _new(self) -> Iterator[str]:
        while True:
            try:
                yield from self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return


def test_systemd_hears_of_readiness_reload_and_stop(launcher: Launcher, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    systemd = Systemd(address)
    gate = tmp_path / "gate"
    stubs = Stub(name="a"), Stub(name="b", server={"stub_gate": str(gate)})
    run = launcher.start(*stubs, env={"NOTIFY_SOCKET": address})
    run.wait_healthy("a")
    systemd.wait_for("STATUS=1 of 2 ready; b: starting")
    assert "READY=1" not in systemd.lines
    gate.touch()
    systemd.wait_for("READY=1")
    systemd.wait_for("STATUS=2 of 2 ready")
    systemd.lines.clear()
    run.signal(signal.SIGHUP)
    systemd.wait_for("RELOADING=1")
    systemd.wait_for("READY=1")
    run.signal(signal.SIGTERM)
    systemd.wait_for("STOPPING=1")
    assert run.wait() == 0
    systemd.socket.close()


def test_abstract_socket_of_systemd_works(launcher: Launcher) -> None:
    address = f"@vllmd-test-{launcher.mark}"
    systemd = Systemd(address)
    launcher.start(Stub(), env={"NOTIFY_SOCKET": address})
    systemd.wait_for("READY=1")
    systemd.socket.close()


def test_server_does_not_inherit_the_socket_of_systemd(launcher: Launcher) -> None:
    report = launcher.folder / "report"
    stub = Stub(server={"stub_report": str(report)})
    launcher.start(stub, env={"NOTIFY_SOCKET": "/nowhere"}).wait_healthy()
    assert "NOTIFY_SOCKET" not in json.loads(report.read_text())["env"]
