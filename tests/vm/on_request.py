"""Real vLLM on the CPU inside a guest: `make test-vm-vllm`.

Not part of the suite: under emulation vLLM alone takes 4 to 10 minutes until it is healthy. The
file's name keeps it from being collected; the Makefile names it.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest

from launcher.demo.writer import write_demo_model
from tests.support.guest_images import build_image
from tests.support.guests import END_S, GUEST_PORT
from tests.support.launching import render_table
from tests.support.require import skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.hypervisor.guest.manifest import ImageManifest
    from tests.support.guests import Guest

VARIABLE = "VLLMD_TEST_VLLM_PYTHON"
PACKAGES, MODEL = "/opt/vllm", "/opt/models/demo"
LIMIT_S = 1800


@pytest.fixture(scope="session")
def vllm_image(tmp_path_factory: pytest.TempPathFactory) -> ImageManifest:
    """Return an image with vLLM's packages and the demo model; Debian's Python runs them."""
    python = os.environ.get(VARIABLE, "")
    if not python:
        skip_or_fail("vm", f"{VARIABLE} names no Python with vLLM ('make vllm' installs one)")
    ask = "import sys, sysconfig; print(sys.version_info[1], sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    minor, _, packages = done.stdout.strip().partition(" ")
    if minor != "11":
        skip_or_fail("vm", f"vLLM is installed for Python 3.{minor}, and Debian 12 has 3.11")
    model = tmp_path_factory.mktemp("model")
    write_demo_model(str(model))
    include = "libnuma1,libgomp1,libtcmalloc-minimal4"
    folders = ("--add", f"{packages}:{PACKAGES}", "--add", f"{model}:{MODEL}")
    return build_image("--include", include, *folders)


def config() -> str:
    server = {"model": MODEL, "served_model_name": "demo", "host": "0.0.0.0", "port": GUEST_PORT,  # noqa: S104
              "dtype": "bfloat16", "max_model_len": 256, "enforce_eager": True}  # fmt: skip
    # One process, one thread: what an emulated CPU does soonest.
    env = {"PYTHONPATH": PACKAGES, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1",
           "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1"}  # fmt: skip
    control = {"gpu_ids": "none", "restart": "no", "startup_timeout_s": LIMIT_S}
    return (
        render_table("master", {"python": "/usr/bin/python3"})
        + render_table("instance.demo.control", control)
        + render_table("instance.demo.server", server)
        + render_table("instance.demo.env", env)
    )


@pytest.mark.timeout(LIMIT_S + 900)
def test_vllm_in_a_guest_answers_a_prompt_and_stops_cleanly(
    vllm_image: ImageManifest, new_guest: Callable[..., Guest]
) -> None:
    guest = new_guest(config=config(), of=vllm_image)
    process = guest.start(env={"VLLMD_HYPERVISOR_MEMORY_CONFIG": "size=8G,shared=on"})
    guest.wait_healthy(LIMIT_S)
    body = json.dumps({"model": "demo", "prompt": "Hello", "max_tokens": 8}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{guest.port}/v1/completions",
        data=body,
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert json.load(answer)["usage"]["completion_tokens"] == 8
    assert guest.ask("stop").code == 0
    assert process.wait(END_S) == 0
