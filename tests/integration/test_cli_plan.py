"""`vllmd plan` as a child process: what it shows, in each form."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from tests.support.cli_texts import CONFIG, OK, TEXT, UNAVAILABLE, WRONG

if TYPE_CHECKING:
    from tests.support.commands import Commands

TEXT_PLAN = """\
vLLM 0.32.0

chat: 0.0.0.0:8000, GPUs 0, background
  log   FOLDER/logs/vllm-server-chat.log
  start cold (not tested on GPUs; write start_mode = "fork" to use it)
  ahead nothing ('org/chat' is no folder)
  env   PYTHONUNBUFFERED=1
  env   CUDA_DEVICE_ORDER=PCI_BUS_ID
  env   VLLM_API_KEY=***
  env   CUDA_VISIBLE_DEVICES=0
  FOLDER/prefix/bin/python3 -m vllm.entrypoints.openai.api_server
    --max-model-len 4096                                         vllm.toml:8:1
    --model org/chat                                             vllm.toml:14:1
    --served-model-name chat 'a b'                               vllm.toml:15:1
    --gpu-memory-utilization 0.5                                 vllm.toml:16:1
    (enforce_eager = false: no flag)                             vllm.toml:17:1
    --seed 1                                                     vllm.toml:19:1

embed: 127.0.0.1:8001, GPUs 0, foreground
  log   FOLDER/logs/vllm-server-embed.log
  start cold (not tested on GPUs; write start_mode = "fork" to use it)
  ahead nothing ('org/embed' is no folder)
  after chat (they share a GPU)
  env   PYTHONUNBUFFERED=1
  env   CUDA_DEVICE_ORDER=PCI_BUS_ID
  env   HF_HUB_OFFLINE=1
  env   CUDA_VISIBLE_DEVICES=0
  FOLDER/prefix/bin/python3 -m vllm.entrypoints.openai.api_server
    --max-model-len 4096                                         vllm.toml:8:1
    --model org/embed                                            vllm.toml:26:1
    --port 8001                                                  --set instance.embed.server.port
    --host 127.0.0.1                                             vllm.toml:28:1
    --gpu-memory-utilization 0.3                                 vllm.toml:29:1

spare: skipped, control.enabled is false
"""
SHELL_PLAN = """\
# chat
env \\
  -u AUTO_INFER_VLLM_CONFIG \\
  -u AUTO_INFER_VLLM_OVERRIDES \\
  PYTHONUNBUFFERED=1 \\
  CUDA_DEVICE_ORDER=PCI_BUS_ID \\
  VLLM_API_KEY='***' \\
  CUDA_VISIBLE_DEVICES=0 \\
  FOLDER/prefix/bin/python3 -m vllm.entrypoints.openai.api_server \\
  --max-model-len 4096 \\
  --model org/chat \\
  --served-model-name chat 'a b' \\
  --gpu-memory-utilization 0.5 \\
  --seed 1 \\
  >> FOLDER/logs/vllm-server-chat.log 2>&1

# embed
env \\
  -u AUTO_INFER_VLLM_CONFIG \\
  -u AUTO_INFER_VLLM_OVERRIDES \\
  PYTHONUNBUFFERED=1 \\
  CUDA_DEVICE_ORDER=PCI_BUS_ID \\
  HF_HUB_OFFLINE=1 \\
  CUDA_VISIBLE_DEVICES=0 \\
  FOLDER/prefix/bin/python3 -m vllm.entrypoints.openai.api_server \\
  --max-model-len 4096 \\
  --model org/embed \\
  --port 8001 \\
  --host 127.0.0.1 \\
  --gpu-memory-utilization 0.3 \\
  >> FOLDER/logs/vllm-server-embed.log 2>&1
"""


# plan


def test_plan_as_text_shows_everything_and_its_place(vllmd: Commands) -> None:
    done = vllmd.run("plan", vllmd.write(TEXT), "--set", "instance.embed.server.port=8001")
    assert (done.code, done.out, done.err) == (OK, TEXT_PLAN, "")


def test_plan_as_text_escapes_what_would_move_the_cursor(vllmd: Commands) -> None:
    note = '[instance.chat.env]\nNOTE = "a\\nb\\u001b[31m"\n'
    done = vllmd.run("plan", vllmd.write(TEXT + note))
    assert done.code == OK
    assert "  env   NOTE=a\\nb\\x1b[31m\n" in done.out


def test_plan_as_text_tells_an_empty_array_from_false(vllmd: Commands) -> None:
    done = vllmd.run("plan", vllmd.write(TEXT), "--set", "instance.chat.server.lora_modules=[]")
    assert "    (lora_modules = []: no flag) " in done.out


def test_plan_as_shell_is_commands(vllmd: Commands) -> None:
    done = vllmd.run("plan", vllmd.write(TEXT), "--format", "shell")
    assert (done.code, done.out, done.err) == (OK, SHELL_PLAN, "")


def test_plan_as_shell_is_taken_by_a_shell(vllmd: Commands) -> None:
    done = vllmd.run("plan", vllmd.write(TEXT), "--format", "shell")
    subprocess.run(["sh", "-n"], input=done.out, text=True, check=True)


def test_plan_as_json_has_the_documented_form(vllmd: Commands) -> None:
    done = vllmd.run("plan", vllmd.write(TEXT), "--format", "json")
    plan = json.loads(done.out)
    assert (done.code, done.err) == (OK, "")
    assert list(plan) == ["version", "instances", "skipped", "problems"]
    assert plan["version"] == "0.32.0"
    assert plan["skipped"] == [{"name": "spare", "reason": "control.enabled is false"}]
    assert plan["problems"] == []
    for instance in plan["instances"]:
        assert {key: type(value) for key, value in instance.items()} == {
            "name": str, "argv": list, "env": dict, "log_file": str, "background": bool,
            "gpu_ids": str, "host": str if instance["host"] else type(None), "port": int,
            "start": dict, "prefetch": dict, "cwd": str, "origins": dict,
        }  # fmt: skip


def test_plan_as_json_of_one_instance_is_exact(vllmd: Commands) -> None:
    done = vllmd.run("plan", vllmd.write(TEXT), "--format", "json")
    embed = json.loads(done.out)["instances"][1]
    origins = embed.pop("origins")
    assert embed == {
        "name": "embed",
        "argv": [
            "FOLDER/prefix/bin/python3", "-m", "vllm.entrypoints.openai.api_server",
            "--max-model-len", "4096", "--model", "org/embed", "--port", "8001",
            "--host", "127.0.0.1", "--gpu-memory-utilization", "0.3",
        ],
        "env": {
            "PYTHONUNBUFFERED": "1",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "0",
        },
        "log_file": "FOLDER/logs/vllm-server-embed.log",
        "background": False,
        "gpu_ids": "0",
        "start": {
            "mode": "cold",
            "reason": 'not tested on GPUs; write start_mode = "fork" to use it',
        },
        "prefetch": {"files": [], "bytes": 0, "reason": "'org/embed' is no folder"},
        "host": "127.0.0.1",
        "port": 8001,
        "cwd": "FOLDER",
    }  # fmt: skip
    assert origins["control.background"] == "vllm.toml:23:1"
    assert origins["control.log_dir"] == "vllm.toml:5:1"
    assert origins["control.enabled"] == "default"
    assert origins["server.max_model_len"] == "vllm.toml:8:1"
    assert origins["env.HF_HUB_OFFLINE"] == "vllm.toml:32:1"


def test_plan_as_json_names_overrides_and_arguments_as_origins(vllmd: Commands) -> None:
    env = {"AUTO_INFER_VLLM_OVERRIDES": '{"instance": {"chat": {"server": {"port": 9}}}}'}
    done = vllmd.run(
        "plan", vllmd.write(TEXT), "--format", "json", "--set", "instance.chat.server.seed=3",
        env=env,
    )  # fmt: skip
    chat = json.loads(done.out)["instances"][0]
    assert chat["port"] == 9
    assert chat["origins"]["server.port"] == "AUTO_INFER_VLLM_OVERRIDES"
    assert chat["origins"]["server.seed"] == "--set instance.chat.server.seed"


def test_plan_as_json_holds_its_problems_and_nothing_is_on_stderr(vllmd: Commands) -> None:
    done = vllmd.run("plan", vllmd.write(WRONG), "--format", "json")
    assert (done.code, done.err) == (CONFIG, "")
    assert json.loads(done.out)["problems"] == [
        {
            "severity": "error",
            "path": "master.enabel",
            "file": "vllm.toml",
            "line": 3,
            "column": 1,
            "message": "unknown key 'enabel' in [master]",
            "hint": "did you mean 'enable'?",
        }
    ]


def test_plan_without_vllm_is_printed_and_says_what_is_missing(vllmd: Commands) -> None:
    toml = '[master]\npython = "/no/python"\n[instance.a.server]\nmodel = "org/m"\n'
    done = vllmd.run("plan", vllmd.write(toml))
    assert done.code == UNAVAILABLE
    assert done.err == (
        "error: vllm.toml:2:10: 'python': there is no program '/no/python'\n"
        '   2 | python = "/no/python"\n'
        "     |          ^^^^^^^^^^^^\n"
        "hint: correct the path, or install it there\n"
    )
    assert done.out.startswith("vLLM of unknown version\n\na: 0.0.0.0:8000, GPUs all, background\n")


def test_plan_makes_nothing(vllmd: Commands) -> None:
    vllmd.run("plan", vllmd.write(TEXT))
    assert sorted(os.listdir(vllmd.folder)) == ["prefix", "vllm.toml"]
