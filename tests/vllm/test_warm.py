"""Servers forked from a process that has imported vLLM: as good as cold ones, and sooner."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from launcher.server.warm import CPU_MODULES, LATE, MODULES, SWITCHES
from tests.support.launching import ROOT
from tests.support.ports import free_port
from tests.support.processes import all_pids, children_of, read_proc, session_of, status_field
from tests.support.running import Running, running
from tests.support.wait import wait_until
from tests.vllm.test_serving import START_S, get, write_config

pytestmark = pytest.mark.timeout(1800)
NAMES = ("first", "second", "cold")
# What no two processes share, or what a forked one has on purpose.
OWN = {"random", "numpy", "torch", "authkey", "argv", "env"}
OWN_ENV = {
    "VLLMD_INSTANCE", "VLLM_API_KEY", "CUDA_VISIBLE_DEVICES", "VLLM_WORKER_MULTIPROC_METHOD",
}  # fmt: skip
WATCH = """
import importlib, os, sys
read = set()
kind = type(os.environ)
plain = kind.__getitem__
def watched(self, name):
    read.add(name)
    return plain(self, name)
kind.__getitem__ = watched
for name in sys.argv[1].split(","):
    try:
        importlib.import_module(name)
    except ImportError:
        print("missing:" + name)
print("read:" + ",".join(name for name in read if isinstance(name, str)))
"""


def pids_of(run: Running, name: str) -> list[int]:
    """Return the processes of a server as they were started, the last one last."""
    return [int(pid) for pid in re.findall(rf" {name}: started \(pid (\d+)\)", run.stderr)]


def session(leader: int) -> list[int]:
    return [pid for pid in all_pids() if session_of(pid) == leader]


def proportional_kb(pids: list[int]) -> int:
    """Return the memory of processes in kB, shared pages by their shares."""
    text = "".join(read_proc(pid, "smaps_rollup").decode() for pid in pids)
    return sum(map(int, re.findall(r"^Pss: +(\d+) kB", text, re.MULTILINE)))


def without_worker(pids: list[int]) -> list[int]:
    """Leave out the worker, most of which is the memory that is set aside for the KV cache."""
    return [pid for pid in pids if b"Worker" not in read_proc(pid, "comm")]


def write_three(folder: Path, python: str, model: Path, ports: dict[str, int]) -> Path:
    config = write_config(folder, python, model, ports)
    text = config.read_text()
    text = text.replace(
        "[instance.server]\n",
        '[instance.server]\nextra_args = ["--middleware", "tests.programs.inside.Inside"]\n',
    )
    tables = [
        f'[instance.{name}.env]\nVLLM_API_KEY = "key-{name}"\n'
        f"[instance.{name}.control]\ngpu_ids = {number}\n"
        for number, name in enumerate(ports)
    ]
    config.write_text(text + "".join(tables) + 'start_mode = "cold"\n')  # the last one is cold
    return config


def test_forked_servers_answer_as_cold_ones_and_come_back_soon(
    tmp_path: Path, vllm_python: str, demo_model: Path
) -> None:
    ports = {name: free_port() for name in NAMES}
    config = write_three(tmp_path, vllm_python, demo_model, ports)
    before = set(children_of(os.getpid()))
    with running(["run", str(config)], {"PYTHONPATH": ROOT}) as run:
        for name in NAMES:
            run.wait_for(f"{name}: healthy", START_S)
        assert "cold start" not in run.stderr
        texts = {name: ask(ports[name], name) for name in NAMES}
        assert len(set(texts.values())) == 1

        inside: dict[str, Any] = {name: get(ports[name], "/inside") for name in NAMES}
        compare(inside)
        check_workers(run, inside)
        fork_server = fork_server_of(run)
        assert b"key-" not in read_proc(fork_server, "environ")
        forked, cold = pids_of(run, "first")[0], pids_of(run, "cold")[0]
        assert from_outside(forked) == from_outside(cold)
        for name in NAMES:
            check_port(ports[name], pids_of(run, name))
        assert connections(forked).isdisjoint(connections(fork_server))

        os.kill(fork_server, signal.SIGKILL)
        run.wait_for("fork server 1: ended (killed by SIGKILL)", START_S)
        wait_until(lambda: run.stderr.count("ready after") == 2, "another fork server", START_S)
        assert {name: ask(ports[name], name) for name in NAMES} == texts

        os.kill(pids_of(run, "first")[0], signal.SIGKILL)
        wait_until(lambda: run.stderr.count("first: healthy after") == 2, "a restart", START_S)
        assert run.stderr.count("forked, waiting") == 3
        assert ask(ports["first"], "first") == texts["first"]
        assert len(pids_of(run, "second")) == 1
        assert run.stop() == 0
        assert run.descendants() == []
        assert set(children_of(os.getpid())) <= before


def fork_server_of(run: Running) -> int:
    """Return the pid of the first fork server."""
    return int(re.findall(r"fork server 1: importing \(pid (\d+)\)", run.stderr)[0])


def from_outside(pid: int) -> dict[str, object]:
    """Return what /proc says of a process, and what of it does not depend on the moment."""
    fields = ("SigBlk", "SigIgn", "SigCgt", "Uid", "Gid", "Groups", "CapEff", "NoNewPrivs")
    # proc(5), stat: the terminal is field 7, the nice value 19, the policy 41; ours begin with 3.
    words = read_proc(pid, "stat").rpartition(b")")[2].split()
    opened = {name: os.readlink(f"/proc/{pid}/fd/{name}") for name in "012"}
    return {
        **{name: status_field(pid, name) for name in fields},
        **{name: read_proc(pid, name) for name in ("limits", "oom_score_adj", "cgroup")},
        "terminal, nice, policy": (words[4], words[16], words[38]),
        "folder": os.readlink(f"/proc/{pid}/cwd"),
        "command": read_proc(pid, "cmdline").split(b"\0")[:3],
        "stdin": opened["0"],
        "output": opened["1"] == opened["2"] and opened["1"].partition(":")[0],
    }


def connections(pid: int) -> set[str]:
    """Return the pipes and sockets that a process has open."""
    opened = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # a request has ended at this moment
            opened.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    return {name for name in opened if name.startswith(("pipe:", "socket:"))}


def check_port(port: int, expected: list[int]) -> None:
    """The server holds its port, and neither its engine nor its worker do."""
    wait_until(lambda: holders(port) == expected, f"{expected} alone to hold port {port}", 60)


def holders(port: int) -> list[int]:
    """Return the processes that have the socket which listens at a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # proc(5): the local address, the state (10 is LISTEN) and the inode.
    inodes = {row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"}
    assert inodes
    wanted = {f"socket:[{inode}]" for inode in inodes}
    found = []
    for pid in all_pids():
        with contextlib.suppress(OSError):  # it has gone at this moment, or is another user's
            found += [] if wanted.isdisjoint(connections(pid)) else [pid]
    return found


def ask(port: int, name: str) -> str:
    """Return a greedy completion, asked for with the server's own key."""
    body = {"model": name, "prompt": "hello world", "max_tokens": 24, "temperature": 0}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer key-{name}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        text: str = json.load(answer)["choices"][0]["text"]
    return text


def compare(inside: dict[str, Any]) -> None:
    """Compare the servers by what they say of themselves."""
    forked, cold = inside["first"], inside["cold"]
    assert {key: forked[key] for key in forked.keys() - OWN} == {
        key: cold[key] for key in cold.keys() - OWN
    }
    for name, variables in ((name, each["env"]) for name, each in inside.items()):
        assert variables["VLLM_API_KEY"] == f"key-{name}"
        assert variables["CUDA_VISIBLE_DEVICES"] == str(NAMES.index(name))
        assert variables["VLLMD_INSTANCE"] == name
        method = "spawn" if name == "cold" else "fork"
        assert variables["VLLM_WORKER_MULTIPROC_METHOD"] == method
    kept = [
        {key: value for key, value in inside[name]["env"].items() if key not in OWN_ENV}
        for name in NAMES
    ]
    assert kept[0] == kept[1] == kept[2]
    for key in ("random", "numpy", "torch", "authkey"):
        assert len({inside[name][key] for name in NAMES}) == 3


def check_workers(run: Running, inside: dict[str, Any]) -> None:
    """Engine and workers are named as ever, inherit the imports, and run on the same cores."""
    assert not inside["first"]["cuda"]
    sessions = {name: session(pids_of(run, name)[0]) for name in NAMES}
    cores = {}
    for name, pids in sessions.items():
        titles = {read_proc(pid, "comm").strip(): pid for pid in pids}
        assert b"VLLM::EngineCor" in titles
        cores[name] = status_field(titles[b"VLLM::Worker"], "Cpus_allowed_list")
    assert cores["first"] == cores["second"] == cores["cold"]
    memory = {name: proportional_kb(without_worker(pids)) for name, pids in sessions.items()}
    assert memory["first"] < memory["cold"] / 2


@pytest.mark.timeout(1800)
def test_twenty_starts_and_stops_leave_no_process_and_no_growth(
    tmp_path: Path, vllm_python: str, demo_model: Path
) -> None:
    config = write_config(tmp_path, vllm_python, demo_model, {"a": free_port()})
    config.write_text(f'[master]\ncontrol_socket = "{tmp_path}/s"\n'.join(
        config.read_text().split("[master]\n")
    ))  # fmt: skip
    with running(["run", str(config)]) as run:
        run.wait_for("a: healthy after", START_S)
        start_again(run, tmp_path, 2)
        first = sizes(run, spare_kb=4096)  # what is done once is done
        for number in range(3, 23):
            start_again(run, tmp_path, number)
        assert run.stderr.count("forked, waiting") == 22
        # Helpers of vLLM that look at the machine come and go.
        wait_until(
            lambda: all(now <= then for now, then in zip(sizes(run), first, strict=True)),
            f"no more than {first}",
            60,
        )
        assert run.stop() == 0
        assert run.descendants() == []


def start_again(run: Running, folder: Path, number: int) -> None:
    """Restart the server, and wait until it is healthy for the `number`th time."""
    words = [sys.executable, "-m", "launcher", "restart", "a", "--socket", f"{folder}/s"]
    subprocess.run(words, check=True, timeout=120, capture_output=True)
    wait_until(lambda: run.stderr.count("a: healthy after") == number, f"start {number}", START_S)


def sizes(run: Running, spare_kb: int = 0) -> list[int]:
    """Return what could grow: processes, descriptors, and the memory that is touched, in kB."""
    fork_server = fork_server_of(run)
    pids = (run.process.pid, fork_server)
    opened = [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]
    memory = sum(int(status_field(pid, "VmRSS").split()[0]) for pid in pids)
    return [len(run.descendants()), len(children_of(run.process.pid)), *opened, memory + spare_kb]


def test_import_reads_no_variable_that_servers_of_one_fork_server_may_differ_in(
    vllm_python: str,
) -> None:
    names = ",".join((*MODULES, *CPU_MODULES))
    done = subprocess.run(
        [vllm_python, "-c", WATCH, names],
        capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    read = set(done.stdout.rpartition("read:")[2].strip().split(","))
    assert "VLLM_LOGGING_LEVEL" in read  # it does see what is read
    assert read & set(LATE) == set()
    assert read & set(SWITCHES) <= {"CUDA_VISIBLE_DEVICES"}
    assert "missing:" not in done.stdout
