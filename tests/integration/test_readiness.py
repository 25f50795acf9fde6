"""Readiness over everything a server may listen on, and answers that mean "not yet"."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import urllib.request

import pytest

from tests.support.launching import Launcher, Stub, is_listening
from tests.support.require import require, require_program
from tests.support.wait import PATIENCE_S


def test_server_on_a_unix_socket_becomes_healthy(launcher: Launcher) -> None:
    path = str(launcher.folder / "api.sock")
    run = launcher.start(Stub(server={"uds": path}))
    run.wait_healthy()
    assert any(line.endswith(f" at unix:{path}") for line in run.said())


def test_server_that_speaks_tls_becomes_healthy(launcher: Launcher) -> None:
    openssl = require_program("integration", "openssl")
    key, certificate = (str(launcher.folder / name) for name in ("key.pem", "cert.pem"))
    words = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=elsewhere.example",
    ]
    files = ["-keyout", key, "-out", certificate]
    subprocess.run([openssl, *words, *files], check=True, capture_output=True)
    stub = Stub(server={"ssl_keyfile": key, "ssl_certfile": certificate})
    run = launcher.start(stub)
    run.wait_healthy()
    assert any(line.endswith(f" at https://127.0.0.1:{stub.port}") for line in run.said())


def test_server_on_ipv6_becomes_healthy(launcher: Launcher) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        has_ipv6 = probe.connect_ex(("::1", 1)) == errno.ECONNREFUSED
    require("integration", "this machine has no IPv6 loopback", present=has_ipv6)
    stub = Stub(server={"host": "::1"})
    run = launcher.start(stub)
    run.wait_healthy()
    assert any(line.endswith(f" at http://[::1]:{stub.port}") for line in run.said())


def test_server_on_every_interface_is_asked_on_loopback(launcher: Launcher) -> None:
    stub = Stub(server={"host": "0.0.0.0"})  # noqa: S104
    run = launcher.start(stub)
    run.wait_healthy()
    assert any(line.endswith(f" at http://127.0.0.1:{stub.port}") for line in run.said())


@pytest.mark.parametrize("path", ["/v1/models", "/v1/completions"])
def test_healthy_server_answers_its_users(launcher: Launcher, path: str) -> None:
    stub = Stub(server={"served_model_name": "tiny"})
    launcher.start(stub).wait_healthy()
    with urllib.request.urlopen(
        f"http://127.0.0.1:{stub.port}{path}", timeout=PATIENCE_S
    ) as answer:
        assert answer.status == 200
        assert ("tiny" if "models" in path else "stub") in answer.read().decode()


def test_loading_server_refuses_connections_and_is_not_healthy(launcher: Launcher) -> None:
    stub = Stub(server={"stub_slow": 30})
    run = launcher.start(stub)
    run.wait_for("a: started")
    assert not is_listening(stub.port)
    assert "healthy after" not in run.stderr()
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
