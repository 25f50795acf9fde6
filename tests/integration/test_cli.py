"""The command line as a child process: what is said where, and the exit code."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.cli_texts import CONFIG, OK, TEXT, UNAVAILABLE, USAGE, WRONG
from tests.support.commands import ROOT, Commands
from tests.support.wait import PATIENCE_S

if TYPE_CHECKING:
    import io

COMMANDS = ["run", "check", "plan", "explain", "schema", "demo-model"]


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


def test_check_for_a_version_that_is_not_known_says_so(vllmd: Commands) -> None:
    done = vllmd.run("check", vllmd.write(TEXT), "--vllm-version", "99.0")
    assert done.code == OK
    assert " (options as of vLLM 0.33.0, the nearest that is known)\n" in done.out


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


@pytest.mark.parametrize("command", ["check", "kvbm check --config"])
def test_config_without_end_is_refused(vllmd: Commands, command: str) -> None:
    done = vllmd.run(*command.split(), "/dev/zero")
    message = "this file has more than 16 MiB, too much for a configuration"
    assert done.code == CONFIG
    assert f"error: /dev/zero: {message}\nhint: name the TOML file\n" in done.out + done.err


def test_config_with_an_endless_integer_is_refused_at_its_place(vllmd: Commands) -> None:
    done = vllmd.run("check", vllmd.write(f"[guest]\ncpus = {'9' * 5000}\n"))
    assert done.code == CONFIG
    assert done.out.startswith("error: vllm.toml:2:8: an integer in this does not fit into 64 bits")


def test_log_file_that_ends_like_a_folder_is_refused(vllmd: Commands) -> None:
    words = ("--set", "instance.chat.control.log_file=/nowhere/")
    done = vllmd.run("check", vllmd.write(TEXT), *words)
    assert done.code == CONFIG
    assert "the log '/nowhere/' is a folder\n" in done.out


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


@pytest.mark.parametrize("command", ["run", "demo-model"])
def test_help_with_a_command_is_that_commands(vllmd: Commands, command: str) -> None:
    done = vllmd.run("help", command)
    assert (done.code, done.out, done.err) == (OK, vllmd.run(command, "--help").out, "")


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
    "bundle install x --into=": "--into names no folder\nhint: write it like --into /app",
    "generate ftp://x y": (
        "'ftp://x' is not an address of a server\n"
        "hint: write it like http://127.0.0.1:8000 or unix:/run/vllm.sock"
    ),
    "run --wait-ready x": (
        "--wait-ready needs a main program to hold back\n"
        "hint: write it behind '--', like: vllmd run --wait-ready -- CMD"
    ),
}


def test_command_behind_the_hyphens_that_is_empty_is_refused(vllmd: Commands) -> None:
    done = vllmd.run("run", "--", "")
    message = "error: the command behind '--' is empty\nhint: name a program, or leave out '--'\n"
    assert (done.code, done.err) == (USAGE, message)


def test_words_that_would_move_the_cursor_are_escaped(vllmd: Commands) -> None:
    done = vllmd.run("explain", "a\nb\x1b[31m")
    assert done.code == USAGE
    assert "has no option 'a\\nb\\x1b[31m'\n" in done.err


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
            stdin=theirs, stdout=theirs, stderr=theirs, timeout=PATIENCE_S,
        )  # fmt: skip
    finally:
        os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        return read_to_the_end(terminal).decode().replace("\r\n", "\n")


def read_to_the_end(terminal: io.FileIO) -> bytes:
    """Return all that a terminal shows, which comes in pieces, until nobody has it any more."""
    shown = b""
    with contextlib.suppress(OSError):  # how it says that
        while piece := terminal.read(4096):
            shown += piece
    return shown


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
