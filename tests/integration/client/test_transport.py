"""Servers behind a UNIX socket, and behind a certificate of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.api_stub import api_stub, vllmd
from tests.support.launching import ROOT, render_table
from tests.support.require import require_program

if TYPE_CHECKING:
    from pathlib import Path


def make_certificate(folder: Path, name: str) -> tuple[str, str]:
    """Write a key and a certificate that names some other host."""
    openssl = require_program("integration", "openssl")
    key, certificate = str(folder / f"{name}.key"), str(folder / f"{name}.crt")
    words = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    words += ["-subj", "/CN=elsewhere.example", "-keyout", key, "-out", certificate]
    subprocess.run(words, check=True, capture_output=True)
    return key, certificate


def write_config(folder: Path, **server: object) -> str:
    """Write a configuration with one instance; return its path."""
    path = folder / "vllm.toml"
    path.write_text(render_table("instance.a.server", server))
    return str(path)


def test_generate_finds_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    config = write_config(tmp_path, uds=path)
    with api_stub(tmp_path, uds=path):
        assert vllmd("generate", "Hi", "--config", config).stdout == "Hi\u2028\n"
        assert vllmd("generate", f"unix:{path}", "Hi").stdout == "Hi\u2028\n"


def test_generate_trusts_the_instances_own_certificate_and_no_other(tmp_path: Path) -> None:
    key, certificate = make_certificate(tmp_path, "own")
    _, other = make_certificate(tmp_path, "other")
    with api_stub(tmp_path, private_key=key, certificate=certificate) as stub:
        config = write_config(tmp_path, port=stub.port, ssl_keyfile=key, ssl_certfile=certificate)
        done = vllmd("generate", "Hi", "--config", config)
        assert done.stdout == "Hi\u2028\n", done.stderr
        lie = f'instance.a.server.ssl_certfile="{other}"'
        for words in (
            ["Hi", "--config", config, "--set", lie],
            [f"https://127.0.0.1:{stub.port}", "Hi"],
        ):
            done = vllmd("generate", *words)
            assert done.returncode == 69
            assert "certificate verify failed" in done.stderr


def test_client_without_httpx_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "httpx.py").write_text("raise ModuleNotFoundError('no httpx', name='httpx')")
    done = subprocess.run(
        [sys.executable, "-m", "launcher", "generate", "http://127.0.0.1:1", "Hi"],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 69
    assert done.stderr == (
        "error: the Python module 'httpx' is not installed\nhint: pip install 'vllmd[client]'\n"
    )
