"""Weights are read into the page cache while servers start, and nothing depends on it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.process.readahead import BOOTSTRAP, PROGRAM
from launcher.warm.prefetch import IN_MEMORY, find_kind
from tests.support.fake_vllm import make_vllm
from tests.support.launching import ROOT, Stub
from tests.support.pagecache import cached_share, is_cached, write_uncached
from tests.support.processes import children_of, is_alive, read_proc, session_of
from tests.support.require import require, require_program
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from tests.support.launching import Launcher, Run

SIZE = 6_000_000  # bytes of a file: more than is read at once
HANG = {"extra_args": ["--stub-hang"]}  # never healthy, so that all is read


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a folder for a model, on a disk."""
    kind = find_kind(str(tmp_path), Path("/proc/self/mountinfo").read_text())
    require("integration", f"'{tmp_path}' is in memory ({kind})", present=kind not in IN_MEMORY)
    folder = tmp_path / "model"
    folder.mkdir()
    return folder


@pytest.fixture
def vllm(tmp_path: Path) -> str:
    return f"{make_vllm(tmp_path / 'site')}:{ROOT}"


def start(launcher: Launcher, vllm: str, *stubs: Stub, **master: object) -> Run:
    module = {"api_server_module": "vllm.entrypoints.openai.api_server"}
    home = str(launcher.folder)
    return launcher.start(
        *stubs, master={**module, **master}, env={"PYTHONPATH": vllm, "HOME": home}
    )


def readers_of(run: Run) -> list[int]:
    """Return the pids of the launcher's readers, told by a word that servers do not have."""
    return [pid for pid in children_of(run.pid) if b"-S" in read_proc(pid, "cmdline").split(b"\0")]


def wait_no_reader(run: Run) -> None:
    wait_until(lambda: not readers_of(run), "the end of the reader")


@pytest.fixture
def stuck(launcher: Launcher, vllm: str, model: Path) -> Run:
    """Start a server whose weights never come, but for the first: the reader waits for them."""
    write_uncached(model / "model-1-of-2.safetensors", SIZE)
    os.mkfifo(model / "model-2-of-2.safetensors")
    run = start(launcher, vllm, Stub(server={"model": str(model), **HANG}))
    run.wait_for("a: reading weights ahead")
    return run


def test_weights_are_in_the_page_cache_when_they_are_said_to_be(
    launcher: Launcher, vllm: str, model: Path
) -> None:
    files = [write_uncached(model / f"model-{n}-of-2.safetensors", SIZE) for n in (1, 2)]
    other = write_uncached(model / "pytorch_model.bin", SIZE)
    run = start(launcher, vllm, Stub(server={"model": str(model), **HANG}))
    run.wait_for(f"vllmd: a: reading weights ahead: 12.0 MB in 2 files of {model}\n")
    run.wait_for("vllmd: a: read 12.0 MB of weights ahead in ")
    assert all(map(is_cached, files))
    assert cached_share(other) == 0
    assert " of it from disk\n" in run.stderr()
    wait_no_reader(run)


def test_weights_that_are_read_in_a_moment_are_not_worth_a_word(
    launcher: Launcher, vllm: str, model: Path
) -> None:
    path = write_uncached(model / "model.safetensors", SIZE // 2)
    run = start(launcher, vllm, Stub(server={"model": str(model), **HANG}))
    wait_until(lambda: is_cached(path), "the weights in the page cache")
    wait_no_reader(run)
    assert "ahead" not in run.stderr()


def test_nothing_is_read_if_that_is_not_wanted(launcher: Launcher, vllm: str, model: Path) -> None:
    path = write_uncached(model / "model.safetensors", SIZE)
    run = start(launcher, vllm, Stub(server={"model": str(model)}), prefetch="off")
    run.wait_healthy()
    assert cached_share(path) == 0
    assert "weights" not in run.stderr()


def test_model_of_two_servers_is_read_once(launcher: Launcher, vllm: str, model: Path) -> None:
    write_uncached(model / "model.safetensors", SIZE)
    stubs = (Stub(name=name, server={"model": str(model), **HANG}) for name in ("a", "b", "c"))
    run = start(launcher, vllm, *stubs)
    run.wait_for("a: read 6.0 MB of weights ahead")
    wait_no_reader(run)
    assert run.stderr().count("ahead") == 2


def test_model_of_a_hub_is_found_where_the_hub_keeps_it(
    launcher: Launcher, vllm: str, model: Path
) -> None:
    repository = model.parent / ".cache/huggingface/hub/models--org--chat"
    for folder in ("blobs", "refs", "snapshots/abc"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs/main").write_text("abc")
    blob = write_uncached(repository / "blobs/1234", SIZE)
    (repository / "snapshots/abc/model.safetensors").symlink_to("../../blobs/1234")
    stubs = (Stub(name=name, server={"model": f"org/{name}", **HANG}) for name in ("chat", "new"))
    run = start(launcher, vllm, *stubs)
    run.wait_for("chat: read 6.0 MB of weights ahead")
    hub = repository.parent
    run.wait_for(f"new: no weights are read ahead: 'org/new' is no folder, and not in '{hub}'")
    assert is_cached(blob)


def test_file_that_cannot_be_read_is_said_and_left_out(
    launcher: Launcher, vllm: str, model: Path
) -> None:
    (model / "model-1.safetensors").symlink_to(model / "gone")
    path = write_uncached(model / "model-2.safetensors", SIZE)
    run = start(launcher, vllm, Stub(server={"model": str(model), **HANG}))
    run.wait_for(f"a: '{model}/gone' is not read ahead: no such file or directory")
    run.wait_for("a: read 6.0 MB of weights ahead")
    assert is_cached(path)


def test_reader_has_the_lowest_priority_and_a_session_of_its_own(stuck: Run) -> None:
    ionice = require_program("integration", "ionice")
    [reader] = readers_of(stuck)
    asked = subprocess.run([ionice, "-p", str(reader)], capture_output=True, text=True, check=True)
    assert asked.stdout == "idle\n"
    assert os.getpriority(os.PRIO_PROCESS, reader) == 19
    assert session_of(reader) == reader


def test_reader_ends_when_the_server_is_healthy(launcher: Launcher, vllm: str, model: Path) -> None:
    os.mkfifo(model / "model.safetensors")
    run = start(launcher, vllm, Stub(server={"model": str(model)}))
    run.wait_healthy()
    wait_no_reader(run)
    assert "prefetch: ended" not in run.stderr()


def test_killed_reader_changes_nothing(launcher: Launcher, stuck: Run) -> None:
    os.kill(readers_of(stuck)[0], signal.SIGKILL)
    stuck.wait_for("prefetch: ended (killed by SIGKILL): servers read for themselves")
    assert launcher.status()["state"] == "starting"
    assert is_alive(stuck.pid_of())


def test_killed_launcher_takes_the_reader_with_it(stuck: Run) -> None:
    [reader] = readers_of(stuck)
    stuck.signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(reader), "the end of the reader")


def test_stop_ends_the_reader(launcher: Launcher, stuck: Run) -> None:
    stuck.signal(signal.SIGTERM)
    assert stuck.wait() == 0
    assert launcher.left() == []
    assert "prefetch: ended" not in stuck.stderr()


def test_forked_server_has_its_weights_read_as_well(
    launcher: Launcher, vllm: str, model: Path
) -> None:
    path = write_uncached(model / "model.safetensors", SIZE)
    run = start(launcher, vllm, Stub(server={"model": str(model), **HANG}), start_mode="fork")
    run.wait_for("a: read 6.0 MB of weights ahead")
    assert is_cached(path)


def test_plan_says_what_would_be_read(launcher: Launcher, vllm: str, model: Path) -> None:
    path = write_uncached(model / "model.safetensors", SIZE)
    stubs = (
        Stub(server={"model": str(model)}),
        Stub(name="b", server={"model": str(model), "load_format": "dummy"}),
    )
    config = launcher.write(
        *stubs, master={"api_server_module": "vllm.entrypoints.openai.api_server"}
    )
    asked = launcher.ask("plan", config, env={"PYTHONPATH": vllm})
    assert f"\n  ahead 6.0 MB in 1 file of {model}\n" in asked.stdout
    assert "\n  ahead nothing (load format 'dummy')\n" in asked.stdout
    asked = launcher.ask("plan", config, "--format", "json", env={"PYTHONPATH": vllm})
    found = [each["prefetch"] for each in json.loads(asked.stdout)["instances"]]
    assert found == [
        {"files": [str(path)], "bytes": SIZE, "reason": ""},
        {"files": [], "bytes": 0, "reason": "load format 'dummy'"},
    ]
    assert cached_share(path) == 0


def test_reader_that_fails_says_of_what() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        words = [sys.executable, "-c", BOOTSTRAP]
        with theirs:
            ours.send(Path(PROGRAM).read_bytes())
            ours.send(b'{"order": {"name": "a"}}')
            done = subprocess.run(words, stdin=theirs.fileno(), check=False, start_new_session=True)
        said = json.loads(ours.recv(1 << 16))
    assert said == {"name": "prefetch", "text": "ended by KeyError: 'model'"}
    assert done.returncode == 1
