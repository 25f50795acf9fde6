"""What is said about a machine before it troubles vLLM."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.preflight import (
    GIB,
    MIB,
    SHM,
    MachineFacts,
    cache_folders,
    judge,
    preflight,
    temporary_folders,
)
from launcher.process.spec import ProcessSpec
from launcher.server.facts import is_hijacked_port

SOUND: dict[str, Any] = {
    "shm_bytes": 8 * GIB,
    "open_files": 1_048_576,
    "memlock": None,
    "has_passwd_entry": True,
    "uid": 1000,
    "environ": {"HOME": "/home/me"},
    "unwritable": (),
    "tensor_parallel": 1,
    "on_cpu": False,
    "has_temporary_folder": True,
    "on_infiniband": False,
}


def said(**changes: Any) -> list[str]:
    warned = judge(MachineFacts(**{**SOUND, **changes}))
    return [f"{each.message} -> {each.hint}" for each in warned]


def test_sound_machine_is_not_talked_about() -> None:
    assert said() == []
    assert said(shm_bytes=None, open_files=None) == []


TROUBLES = [
    (
        {"shm_bytes": 64 * MIB, "tensor_parallel": 2},
        f"{SHM} has 64 MiB, a server on 2 GPUs",
    ),
    ({"shm_bytes": 32 * MIB}, f"{SHM} has 32 MiB, a server may need 64 MiB"),
    (
        {"shm_bytes": 64 * MIB, "on_cpu": True},
        f"{SHM} has 64 MiB, a server on the CPU may need 160 MiB",
    ),
    ({"has_temporary_folder": False}, "no folder for temporary files can be written"),
    ({"open_files": 1024}, "only 1024 files may be open at once"),
    ({"memlock": 65536, "on_infiniband": True}, "only 64 KiB of memory may be locked"),
    ({"has_passwd_entry": False}, "user id 1000 has no name"),
    ({"has_passwd_entry": False, "environ": {"USER": "x", "HOME": "/"}}, "'HOME' is not set, or"),
    ({"unwritable": (("/root/.cache/vllm", "VLLM_CACHE_ROOT"),)}, "'/root/.cache/vllm' cannot be"),
    ({"environ": {"VLLM_PORT": "tcp://10.0.0.1:8000"}}, "'VLLM_PORT' is 'tcp://10.0.0.1:8000'"),
]


@pytest.mark.parametrize(("changes", "begin"), TROUBLES, ids=[begin for _, begin in TROUBLES])
def test_trouble_ahead_is_told_once_with_what_to_do(changes: dict[str, Any], begin: str) -> None:
    [text] = said(**changes)
    assert text.startswith(begin)
    message, _, hint = text.partition(" -> ")
    assert hint
    assert not message.endswith(".")
    assert not hint.endswith(".")


def on_gpus(count: str) -> tuple[ProcessSpec, ...]:
    return (ProcessSpec(name="a", argv=("python", "--tensor-parallel-size", count)),)


@pytest.mark.parametrize("count", ["²", "9" * 5000, "-1", "x", ""])
def test_number_of_gpus_that_is_none_is_one(count: str) -> None:
    assert preflight(on_gpus(count), {}) == preflight(on_gpus("1"), {})


def test_limits_that_hurt_nobody_here_are_not_talked_about() -> None:
    assert said(memlock=65536) == []
    assert said(has_passwd_entry=False, environ={"USER": "x", "HOME": "/data"}) == []


@pytest.mark.parametrize(
    ("value", "hijacked"), [("tcp://10.0.0.1:8000", True), ("8000", False), ("", False)]
)
def test_port_variable_is_hijacked_where_it_is_no_number(value: str, hijacked: bool) -> None:
    assert is_hijacked_port({"VLLM_PORT": value}) is hijacked


def test_caches_are_where_their_libraries_keep_them() -> None:
    assert cache_folders({"HOME": "/h"}) == (
        ("/h/.cache/huggingface", "HF_HOME"),
        ("/h/.cache/vllm", "VLLM_CACHE_ROOT"),
    )
    assert cache_folders({"HF_HOME": "/hf", "XDG_CACHE_HOME": "/x"}) == (
        ("/hf", "HF_HOME"),
        ("/x/vllm", "VLLM_CACHE_ROOT"),
    )
    assert cache_folders({}) == ()


def test_temporary_files_go_where_python_puts_them() -> None:
    assert temporary_folders({"TMP": "/c", "TMPDIR": "/a"})[:2] == ("/a", "/c")
    assert temporary_folders({})[-1] == "."
