"""The command line as a child process: what is said where, and the exit code."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import ROOT, Commands

if TYPE_CHECKING:
    from pathlib import Path

OK, USAGE, UNAVAILABLE, CONFIG = 0, 64, 69, 78
COMMANDS = ["run", "check", "plan", "explain", "schema", "demo-model"]
TEXT = """\
[master]
python = "FOLDER/prefix/bin/python3"

[instance.control]
log_dir = "FOLDER/logs"

[instance.server]
max_model_len = 4096

[instance.chat.control]
gpu_ids = "0"

[instance.chat.server]
model = "org/chat"
served_model_name = ["chat", "a b"]
gpu_memory_utilization = 0.5
enforce_eager = false
api_key = "sesame"
extra_args = ["--seed", "1"]

[instance.embed.control]
gpu_ids = "0"
background = false

[instance.embed.server]
model = "org/embed"
port = 8001
host = "127.0.0.1"
gpu_memory_utilization = 0.3

[instance.embed.env]
HF_HUB_OFFLINE = 1

[instance.spare.control]
enabled = false
"""
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
WRONG = '[master]\npython = "FOLDER/prefix/bin/python3"\nenabel = true\n'


@pytest.fixture
def vllmd(tmp_path: Path) -> Commands:
    commands = Commands(tmp_path)
    commands.install_vllm()
    return commands


# plan


def test_plan_as_text_shows_everything_and_its_place(vllmd: Commands) -> None:
    done = vllmd.run("plan", vllmd.write(TEXT), "--set", "instance.embed.server.port=8001")
    assert (done.code, done.out, done.err) == (OK, TEXT_PLAN, "")


def test_plan_as_text_escapes_what_would_move_the_cursor(vllmd: Commands) -> None:
    note = '[instance.chat.env]\nNOTE = "a\\nb\\u001b[31m"\n'
    done = vllmd.run("plan", vllmd.write(TEXT + note))
    assert done.code == OK
    assert "  env   NOTE=a\\nb\\x1b[31m\n" in done.out


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


# check


def test_check_of_a_good_file_names_what_would_start(vllmd: Commands) -> None:
    done = vllmd.run("check", vllmd.write(TEXT))
    assert (done.code, done.out, done.err) == (OK, "ok: would start chat, embed\n", "")


def test_check_of_an_empty_file_says_so(vllmd: Commands) -> None:
    done = vllmd.run("check", vllmd.write(""))
    assert (done.code, done.out, done.err) == (OK, "ok: nothing to start\n", "")


CHECKS = {
    "text": (
        "error: vllm.toml:3:1: unknown key 'enabel' in [master]\n"
        "   3 | enabel = true\n"
        "     | ^^^^^^\n"
        "hint: did you mean 'enable'?\n"
    ),
    "github": (
        "::error file=vllm.toml,line=3,col=1::"
        "unknown key 'enabel' in [master]; hint: did you mean 'enable'?\n"
    ),
}


@pytest.mark.parametrize("form", CHECKS)
def test_check_prints_problems_on_stdout(vllmd: Commands, form: str) -> None:
    done = vllmd.run("check", vllmd.write(WRONG), "--format", form)
    assert (done.code, done.out, done.err) == (CONFIG, CHECKS[form], "")


def test_check_as_json_is_a_list(vllmd: Commands) -> None:
    done = vllmd.run("check", vllmd.write(WRONG), "--format", "json")
    (problem,) = json.loads(done.out)
    assert (done.code, done.err) == (CONFIG, "")
    assert list(problem) == ["severity", "path", "file", "line", "column", "message", "hint"]
    assert vllmd.run("check", vllmd.write(TEXT), "--format", "json").out == "[]\n"


def test_check_of_a_file_that_does_not_parse_as_json_is_a_list(vllmd: Commands) -> None:
    done = vllmd.run("check", vllmd.write("[master\n"), "--format", "json")
    (problem,) = json.loads(done.out)
    assert done.code == CONFIG
    assert (problem["file"], problem["line"], problem["path"]) == ("vllm.toml", 1, None)


def test_check_warnings_alone_are_no_failure(vllmd: Commands) -> None:
    toml = '[master]\npython = "FOLDER/prefix/bin/python3"\n[instance.a.server]\nseed = 1\n'
    done = vllmd.run("check", vllmd.write(toml))
    assert (done.code, done.err) == (OK, "")
    assert done.out.startswith("warning: vllm.toml:3:1: 'a' has no model")
    assert done.out.endswith("\nok: would start a\n")


def test_check_for_another_version_asks_its_options(vllmd: Commands) -> None:
    toml = '[instance.a.server]\nmodel = "org/m"\nswap_space = 4\n'
    head = '[master]\npython = "FOLDER/prefix/bin/python3"\n'
    name = vllmd.write(head + toml)
    assert vllmd.run("check", name).code == CONFIG
    assert vllmd.run("check", name, "--vllm-version", "0.17.0").code == OK


# Sources that cannot be read


def test_config_that_nobody_names_is_refused(vllmd: Commands) -> None:
    message = (
        "error: no configuration: no file was named, and AUTO_INFER_VLLM_CONFIG is not set\n"
        "hint: name a TOML file, or export AUTO_INFER_VLLM_CONFIG=/path/to/vllm.toml\n"
    )
    for command in ("run", "check", "plan"):
        done = vllmd.run(command)
        assert (done.code, done.out, done.err) == (USAGE, "", message)


def test_config_of_the_variable_is_read(vllmd: Commands) -> None:
    done = vllmd.run("check", env={"AUTO_INFER_VLLM_CONFIG": vllmd.write(TEXT)})
    assert done.out == "ok: would start chat, embed\n"


def test_config_that_cannot_be_read_is_refused(vllmd: Commands) -> None:
    (vllmd.folder / vllmd.write(TEXT)).chmod(0)
    done = vllmd.run("check", "vllm.toml", humble=True)
    assert (done.code, done.out) == (
        CONFIG,
        (
            "error: vllm.toml: this file cannot be read by this user\n"
            "hint: make it readable for the user that runs vllmd\n"
        ),
    )


def test_config_inside_a_file_is_refused(vllmd: Commands) -> None:
    vllmd.write(TEXT)
    done = vllmd.run("check", "vllm.toml/inner.toml")
    assert (done.code, done.out) == (
        CONFIG,
        (
            "error: vllm.toml/inner.toml: this path leads through a file, as if it were a folder\n"
            "hint: correct the path, or mount the file there\n"
        ),
    )


def test_config_with_a_name_that_is_not_text_is_refused(vllmd: Commands) -> None:
    done = vllmd.run("check", os.fsdecode(b"\xff.toml"))
    assert (done.code, done.out) == (
        CONFIG,
        (
            "error: \\udcff.toml: there is no such file\n"
            "hint: correct the path, or mount the file there\n"
        ),
    )


def test_problems_of_all_sources_are_told_at_once(vllmd: Commands) -> None:
    env = {"AUTO_INFER_VLLM_OVERRIDES": "[]"}
    done = vllmd.run("check", vllmd.write("x =\n"), "--set", "y", env=env)
    assert done.code == CONFIG
    assert [line for line in done.out.splitlines() if line.startswith("error")] == [
        "error: vllm.toml:1:4: this is not a TOML value",
        "error: --set y: this is not PATH=VALUE",
        "error: AUTO_INFER_VLLM_OVERRIDES: expected a JSON object, got an array",
    ]
    assert done.out.endswith("\n3 errors\n")


def test_log_folder_that_cannot_be_written_is_refused(vllmd: Commands) -> None:
    (vllmd.folder / "logs").mkdir(mode=0o555)
    done = vllmd.run("check", vllmd.write(TEXT), humble=True)
    path = "FOLDER/logs/vllm-server-chat.log"
    assert done.code == CONFIG
    assert done.out.startswith(
        f"error: vllm.toml:5:11: the log '{path}' cannot be made: "
        "'FOLDER/logs' cannot be written by this user\n"
    )


# Words


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_is_on_stdout(vllmd: Commands, command: str) -> None:
    done = vllmd.run(command, "--help")
    assert (done.code, done.err) == (OK, "")
    assert done.out.startswith(f"usage: vllmd {command} ")


def test_help_names_every_command(vllmd: Commands) -> None:
    done = vllmd.run("--help")
    assert (done.code, done.err) == (OK, "")
    assert all(f"\n  {command} " in done.out for command in COMMANDS)


def test_no_command_shows_the_help_on_stderr(vllmd: Commands) -> None:
    done = vllmd.run()
    assert (done.code, done.out, done.err) == (USAGE, "", vllmd.run("--help").out)


def test_version_is_a_line(vllmd: Commands) -> None:
    done = vllmd.run("--version")
    assert (done.code, done.err) == (OK, "")
    assert done.out.startswith("vllmd ")


WORDS = {
    "rum": "unknown command 'rum'\nhint: did you mean 'run'?",
    "--frob": "unknown option '--frob'\nhint: write the command first, see 'vllmd --help'",
    "plan --formt json": "unknown option '--formt'\nhint: did you mean '--format'?",
    "plan --form=json": "unknown option '--form'\nhint: did you mean '--format'?",
    "plan --zzz": "unknown option '--zzz'\nhint: see 'vllmd plan --help'",
    "plan a b": "one word too many: 'b'\nhint: see 'vllmd plan --help'",
    "plan --set": "argument --set: expected one argument\nhint: see 'vllmd plan --help'",
    "demo-model": "the following arguments are required: DIR\nhint: see 'vllmd demo-model --help'",
    "run --wait-ready x": (
        "--wait-ready needs a main program to hold back\n"
        "hint: write it behind '--', like: vllmd run --wait-ready -- CMD"
    ),
}


@pytest.mark.parametrize("words", WORDS)
def test_words_that_mean_nothing_are_refused(vllmd: Commands, words: str) -> None:
    done = vllmd.run(*words.split())
    assert (done.code, done.out, done.err) == (USAGE, "", f"error: {WORDS[words]}\n")


# Streams


@pytest.mark.parametrize("words", ["plan vllm.toml", "check vllm.toml", "--help", "schema"])
def test_reader_that_has_seen_enough_is_no_failure(vllmd: Commands, words: str) -> None:
    vllmd.write(TEXT)
    reader, writer = os.pipe()
    os.close(reader)
    done = vllmd.run(*words.split(), stdout=writer)
    os.close(writer)
    assert (done.code, done.err) == (OK, "")


def test_disk_that_is_full_is_told(vllmd: Commands) -> None:
    vllmd.write(TEXT)
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = vllmd.run("plan", "vllm.toml", stdout=full.fileno())
    message = "error: the output cannot be written: the disk is full\nhint: make room on it\n"
    assert (done.code, done.err) == (UNAVAILABLE, message)


def test_streams_that_are_closed_do_no_harm(vllmd: Commands) -> None:
    vllmd.write(TEXT)
    command = f"{sys.executable} -m launcher check vllm.toml <&- >&- 2>&-"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=vllmd.folder, env=vllmd.environ(), check=False
    )
    assert done.returncode == OK


def test_output_without_unicode_is_escaped(vllmd: Commands) -> None:
    text = TEXT.replace("org/chat", "org/chät")
    done = vllmd.run("plan", vllmd.write(text), env={"PYTHONIOENCODING": "ascii"})
    assert done.code == OK
    assert "--model 'org/ch\\xe4t'" in done.out


def on_terminal(vllmd: Commands, *words: str, **env: str) -> str:
    """Run on a pseudo-terminal; return what it shows."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "launcher", *words],
            cwd=vllmd.folder, env=vllmd.environ(env), check=False,
            stdin=theirs, stdout=theirs, stderr=theirs, timeout=20,
        )  # fmt: skip
        return os.read(ours, 65536).decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
        os.close(theirs)


def test_terminal_gets_colour(vllmd: Commands) -> None:
    shown = on_terminal(vllmd, "check", vllmd.write(WRONG))
    assert shown.startswith("\x1b[31;1merror\x1b[0m: vllm.toml:3:1: ")
    assert "\x1b[36mhint\x1b[0m: did you mean" in shown
    assert "\x1b[31;1merror\x1b[0m: unknown command" in on_terminal(vllmd, "rum")


def test_terminal_gets_no_colour_where_nobody_wants_it(vllmd: Commands) -> None:
    assert "\x1b" not in on_terminal(vllmd, "check", vllmd.write(WRONG), NO_COLOR="1")
    assert "\x1b" not in on_terminal(vllmd, "rum", NO_COLOR="1")


def test_module_is_the_command() -> None:
    """`python -m launcher` and the script are one thing."""
    with open(os.path.join(ROOT, "pyproject.toml"), encoding="utf-8") as file:
        assert 'vllmd = "launcher.cli.main:main"' in file.read()
