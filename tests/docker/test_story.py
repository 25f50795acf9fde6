"""The whole story with real vLLM on the CPU: the line of the README, from `run` to `stop`."""

from __future__ import annotations

import json
import re
import shlex
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.demo.writer import write_demo_model
from tests.support.containers import CONFIG, PYTHON, Boxes, Wish, pids_in_container, running
from tests.support.images import LABEL
from tests.support.launching import ROOT, is_listening
from tests.support.require import require_program, require_vllm_python
from tests.support.vllm_volumes import PREFIX, VENV, vllm_volumes

if TYPE_CHECKING:
    from collections.abc import Mapping

START_S = 480  # half a minute on two idle cores
STOP_S = 360  # a second or two there; what is broken is killed before
ANSWER_S = 300
pytestmark = pytest.mark.timeout(1800)

README = Path(ROOT, "README.md")
FILE = f"""\
[master]
python = "{VENV}/bin/python"
[master.env]
LD_LIBRARY_PATH = "{PREFIX}/lib"    # of this interpreter, which is elsewhere than it was built for
VLLM_CPU_KVCACHE_SPACE = 1
HF_HUB_OFFLINE = 1
[instance.control]
gpu_ids = "none"
log_dir = "/logs"
stop_timeout_s = 300
[instance.demo.server]
model = "/models/demo"
served_model_name = "demo"
port = 8000
dtype = "bfloat16"
max_model_len = 256
enforce_eager = true
"""
OVERRIDES = {"instance": {"demo": {"server": {"served_model_name": "renamed"}}}}
# Asked from inside, where there is no network.
ASK = """\
import json, urllib.request
body = {"model": "demo", "prompt": "Hello", "max_tokens": 8, "temperature": 0}
request = urllib.request.Request("http://127.0.0.1:8000/v1/completions",
    json.dumps(body).encode(), {"Content-Type": "application/json"})
print(json.load(urllib.request.urlopen(request, timeout=300))["usage"]["completion_tokens"])
"""


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Return what a container needs to have vLLM and the demo model."""
    python = require_vllm_python("docker")
    folder = tmp_path_factory.mktemp("vllm")
    write_demo_model(str(folder / "models" / "demo"))
    return {**vllm_volumes(python, folder), str(folder / "models"): "/models:ro"}


def readme_line() -> list[str]:
    """Return the words of the first `docker run` of the README."""
    found = re.search(r"^docker run .*?[^\\]$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return shlex.split(found[0].replace("\\\n", " "))


def local_line(boxes: Boxes, volumes: Mapping[str, str]) -> list[str]:
    """Return the README's line for here: no GPU is needed, but the mounts that bring vLLM."""
    program, *words, image = readme_line()
    assert (program, image) == ("docker", "vllmd")
    for option in (["--gpus", "all"], ["-v", "$PWD/models:/models:ro"]):
        at = next(n for n in range(len(words)) if words[n : n + 2] == option)
        del words[at : at + 2]
    here = {
        "8000:8000": "127.0.0.1::8000",  # whichever port is free
        "vllm-cache:/cache": f"{boxes.folder}/cache:/cache",
    }
    words = [here.get(word, word).replace("$PWD", str(boxes.folder)) for word in words]
    mounts = [word for host, place in volumes.items() for word in ("-v", f"{host}:{place}")]
    overrides = ["-e", f"AUTO_INFER_VLLM_OVERRIDES={json.dumps(OVERRIDES)}"]
    own = ["--name", boxes.mark, "--label", f"{LABEL}={boxes.mark}"]
    return [require_program("docker", "docker"), *words, *own, *mounts, *overrides, boxes.image]


def complete(port: int, model: str) -> Any:
    body = {"model": model, "prompt": "Hello", "max_tokens": 8, "temperature": 0}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
        return json.load(answer)


def test_line_of_the_readme_serves_until_it_is_stopped_and_leaves_nothing(
    boxes: Boxes, volumes: Mapping[str, str]
) -> None:
    (boxes.folder / "vllm.toml").write_text(FILE)
    (boxes.folder / "cache").mkdir()
    (boxes.folder / "cache").chmod(0o777)
    with running(local_line(boxes, volumes), boxes.folder) as process:
        box = boxes.wait_for_other(boxes.mark)
        box.wait_healthy("demo", within_s=START_S)
        port, container_id = box.port(8000), box.details()["Id"]
        assert complete(port, "renamed")["usage"]["completion_tokens"] == 8
        assert len(pids_in_container(container_id)) > 2  # the engine and its worker too
        code, text = box.exec("vllmd", "status")
        assert (code, "1 of 1 ready" in text) == (0, True)

        box.ask_to_stop(STOP_S)

        assert process.wait(START_S) == 0
    assert pids_in_container(container_id) == []
    assert not is_listening(port)
    assert "demo: stopped (exit code 0)" in (boxes.folder / "stderr").read_text().splitlines()[-1]


def test_confined_container_serves(boxes: Boxes, volumes: Mapping[str, str]) -> None:
    """Any user id, nothing to write to but the volumes and /tmp, no network, no capabilities."""
    config = boxes.folder / "vllm.toml"
    config.write_text(FILE)
    options = {
        "user": "12345:12345", "read_only": True, "network_mode": "none", "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"], "shm_size": "1g",
    }  # fmt: skip
    wish = Wish(
        environ={"AUTO_INFER_VLLM_CONFIG": CONFIG},
        volumes={str(config): f"{CONFIG}:ro", **volumes},
        tmpfs={"/tmp": ""},  # noqa: S108
        options=options,
    )
    box = boxes.run(wish)
    box.wait_healthy("demo", within_s=START_S)
    assert "warning" not in box.stderr()
    assert box.exec(PYTHON, "-c", ASK) == (0, "8\n")
    assert box.stop(STOP_S) == 0
