"""Bad input to `vllmd run`: the whole message, the exit code, and that nothing was done."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.launching import STUB, Launcher
from tests.support.ports import free_port

if TYPE_CHECKING:
    from tests.support.launching import Run

HEAD = f"""\
[master]
python = "{sys.executable}"
api_server_module = "{STUB}"
[instance.control]
log_dir = "FOLDER/logs"
"""  # five lines: the body begins on the sixth

WHOLE_OBJECT = 'hint: write one object, like {"instance": {"demo": {"server": {"port": 8001}}}}'


def assert_refused(launcher: Launcher, run: Run, code: int, message: str) -> None:
    """See that the launcher said just this, and that nothing runs or was written."""
    assert run.wait() == code
    assert run.stderr() == message.replace("FOLDER", str(launcher.folder))
    assert run.stdout() == ""
    assert launcher.left() == []
    assert set(os.listdir(launcher.folder)) <= {"stdout", "stderr", "vllm.toml", "link.log"}


def start_text(launcher: Launcher, text: str, **env: str) -> Run:
    """Run a configuration given as text; FOLDER stands for the test's folder."""
    path = launcher.folder / "vllm.toml"
    path.write_text(text.replace("FOLDER", str(launcher.folder)))
    return launcher.start_words(str(path), env=env)


USAGE = {
    "no configuration": (
        [],
        (
            "error: no configuration: no file was named, and AUTO_INFER_VLLM_CONFIG is not set\n"
            "hint: name a TOML file, or export AUTO_INFER_VLLM_CONFIG=/path/to/vllm.toml\n"
        ),
    ),
    "nothing to hold back": (
        ["--wait-ready", "vllm.toml"],
        (
            "error: --wait-ready needs a main program to hold back\n"
            "hint: write it behind '--', like: vllmd run --wait-ready -- CMD\n"
        ),
    ),
    "two files": (
        ["a.toml", "b.toml"],
        "error: one word too many: 'b.toml'\nhint: see 'vllmd run --help'\n",
    ),
    "unknown option": (
        ["--frob"],
        "error: unknown option '--frob'\nhint: see 'vllmd run --help'\n",
    ),
}


@pytest.mark.parametrize(("words", "message"), USAGE.values(), ids=USAGE)
def test_wrong_words_are_refused_with_64(
    launcher: Launcher, words: list[str], message: str
) -> None:
    assert_refused(launcher, launcher.start_words(*words), 64, message)


def test_missing_file_is_refused(launcher: Launcher) -> None:
    run = launcher.start_words("no.toml")
    message = (
        "error: no.toml: there is no such file\nhint: correct the path, or mount the file there\n"
    )
    assert_refused(launcher, run, 78, message)


def test_missing_file_with_a_command_is_refused_too(launcher: Launcher) -> None:
    run = launcher.start_words("--", "true", env={"AUTO_INFER_VLLM_CONFIG": "no.toml"})
    message = (
        "error: no.toml: there is no such file\nhint: correct the path, or mount the file there\n"
    )
    assert_refused(launcher, run, 78, message)


def test_folder_in_place_of_file_is_refused(launcher: Launcher) -> None:
    run = launcher.start_words(str(launcher.folder))
    message = "error: FOLDER: this is a folder, not a file\nhint: name the TOML file in it\n"
    assert_refused(launcher, run, 78, message)


def test_text_that_is_not_utf8_is_refused(launcher: Launcher) -> None:
    (launcher.folder / "vllm.toml").write_bytes(b"[master]\nx = '\xff'\n")
    message = "error: vllm.toml:2:6: this is not UTF-8: byte 0xff\nhint: save the file as UTF-8\n"
    assert_refused(launcher, launcher.start_words("vllm.toml"), 78, message)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            "{nope",
            (
                "AUTO_INFER_VLLM_OVERRIDES:1:2: this is not JSON: expecting property name "
                "enclosed in double quotes"
            ),
        ),
        ("[1]", "AUTO_INFER_VLLM_OVERRIDES: expected a JSON object, got an array"),
    ],
)
def test_overrides_that_are_no_object_are_refused(
    launcher: Launcher, overrides: str, message: str
) -> None:
    run = start_text(launcher, HEAD, AUTO_INFER_VLLM_OVERRIDES=overrides)
    assert_refused(launcher, run, 78, f"error: {message}\n{WHOLE_OBJECT}\n")


def test_wrong_value_from_overrides_is_told_with_its_path(launcher: Launcher) -> None:
    overrides = '{"instance": {"a": {"control": {"background": 1}}}}'
    run = start_text(launcher, f"{HEAD}[instance.a.server]\n", AUTO_INFER_VLLM_OVERRIDES=overrides)
    message = (
        "error: AUTO_INFER_VLLM_OVERRIDES: instance.a.control.background: expected a boolean, got "
        "an integer\nhint: write true\n"
    )
    assert_refused(launcher, run, 78, message)


# Body of the configuration, and the message; lines count from the first of the head.
BODIES = {
    "syntax": (
        "[instance.a.server]\nport = \n",
        (
            "error: FOLDER/vllm.toml:7:8: this is not a TOML value\n"
            "   7 | port = \n"
            "     |        ^\n"
            'hint: put text in quotes, like "text"; write true or false\n'
        ),
    ),
    "unknown key": (
        "[instance.a.control]\nenabld = true\n",
        (
            "error: FOLDER/vllm.toml:7:1: unknown key 'enabld' in [instance.a.control]\n"
            "   7 | enabld = true\n"
            "     | ^^^^^^\n"
            "hint: did you mean 'enabled'?\n"
        ),
    ),
    "string for boolean": (
        '[instance.a.control]\nbackground = "yes"\n',
        (
            "error: FOLDER/vllm.toml:7:14: expected a boolean, got a string\n"
            '   7 | background = "yes"\n'
            "     |              ^^^^^\n"
            "hint: write true without quotes\n"
        ),
    ),
    "boolean for integer": (
        "[instance.a.control]\nlog_max_mb = true\n",
        (
            "error: FOLDER/vllm.toml:7:14: expected an integer of at least 0, got a "
            "boolean\n"
            "   7 | log_max_mb = true\n"
            "     |              ^^^^\n"
            "hint: write a number, like 1\n"
        ),
    ),
    "impossible ports": (
        "[instance.a.server]\nport = -1\n[instance.b.server]\nport = 70000\n",
        (
            "error: FOLDER/vllm.toml:7:8: 'port': expected an integer, 1 to 65535, got -1\n"
            "   7 | port = -1\n"
            "     |        ^^\n"
            "hint: write it like port = 8000\n"
            "error: FOLDER/vllm.toml:9:8: 'port': expected an integer, 1 to 65535, got 70000\n"
            "   9 | port = 70000\n"
            "     |        ^^^^^\n"
            "hint: write it like port = 8000\n"
            "2 errors\n"
        ),
    ),
    "instance that is no table": (
        "[instance]\na = 3\n",
        (
            "error: FOLDER/vllm.toml:7:5: expected a table, the settings of one instance, got an "
            "integer\n"
            "   7 | a = 3\n"
            "     |     ^\n"
            "hint: write a in [instance.server] or [instance.NAME.server]\n"
        ),
    ),
    "two on one port": (
        "[instance.a.server]\nport = 8123\n[instance.b.server]\nport = 8123\n",
        (
            "error: FOLDER/vllm.toml:9:8: 'b' and 'a' both listen on 0.0.0.0:8123\n"
            "   9 | port = 8123\n"
            "     |        ^^^^\n"
            "hint: give one another port, like port = 8124\n"
        ),
    ),
    "two on one log": (
        (
            '[instance.a.control]\nlog_file = "/x.log"\n[instance.b.control]\nlog_file = "/x.log"\n'
            "[instance.b.server]\nport = 8123\n"
        ),
        (
            "error: FOLDER/vllm.toml:9:12: 'b' and 'a' both log to '/x.log'\n"
            '   9 | log_file = "/x.log"\n'
            "     |            ^^^^^^^^\n"
            "hint: give each its own log_file\n"
        ),
    ),
    "GPU given twice": (
        '[instance.a.control]\ngpu_ids = "0,0"\n',
        (
            "error: FOLDER/vllm.toml:7:11: GPU 0 is given twice\n"
            '   7 | gpu_ids = "0,0"\n'
            "     |           ^^^^^\n"
            "hint: name each GPU once\n"
        ),
    ),
    "date as flag": (
        "[instance.a.server]\nsince = 2024-01-01\n",
        (
            "error: FOLDER/vllm.toml:7:9: 'since': expected a string, number, boolean, array or "
            "table, got a date or time\n"
            "   7 | since = 2024-01-01\n"
            "     |         ^^^^^^^^^^\n"
            'hint: put it in quotes: "..."\n'
        ),
    ),
    "infinite flag": (
        "[instance.a.server]\nx = inf\n",
        (
            "error: FOLDER/vllm.toml:7:5: 'x': expected a finite number, got inf\n"
            "   7 | x = inf\n"
            "     |     ^^^\n"
            "hint: write a number\n"
        ),
    ),
    "extra arguments in one string": (
        '[instance.a.server]\nextra_args = "--a b"\n',
        (
            "error: FOLDER/vllm.toml:7:14: expected an array of strings, got a string\n"
            '   7 | extra_args = "--a b"\n'
            "     |              ^^^^^^^\n"
            'hint: write each word apart, like ["--max-num-seqs", "8"]\n'
        ),
    ),
    "extra argument that is a number": (
        '[instance.a.server]\nextra_args = ["--a", 3]\n',
        (
            "error: FOLDER/vllm.toml:7:22: expected an array of strings, got an integer "
            "in it\n"
            '   7 | extra_args = ["--a", 3]\n'
            "     |                      ^\n"
            "hint: put it in quotes\n"
        ),
    ),
    "log below a file": (
        '[instance.a.control]\nlog_file = "FOLDER/vllm.toml/a.log"\n',
        (
            "error: FOLDER/vllm.toml:7:12: the log 'FOLDER/vllm.toml/a.log' is inside something "
            "that is not a folder\n"
            '   7 | log_file = "FOLDER/vllm.toml/a.log"\n'
            "     |            UNDERLINE\n"
            "hint: give another log_dir or log_file\n"
        ),
    ),
    "log that is a link": (
        '[instance.a.control]\nlog_file = "FOLDER/link.log"\n',
        (
            "error: FOLDER/vllm.toml:7:12: the log 'FOLDER/link.log' is a symbolic link\n"
            '   7 | log_file = "FOLDER/link.log"\n'
            "     |            UNDERLINE\n"
            "hint: give another log_dir or log_file\n"
        ),
    ),
    "log that is a device": (
        '[instance.a.control]\nlog_file = "/dev/full"\n',
        (
            "error: FOLDER/vllm.toml:7:12: the log '/dev/full' is not a regular file\n"
            '   7 | log_file = "/dev/full"\n'
            "     |            ^^^^^^^^^^^\n"
            "hint: set background = false to see the output on stdout as well\n"
        ),
    ),
}


@pytest.mark.parametrize(("body", "message"), BODIES.values(), ids=BODIES)
def test_wrong_configuration_is_refused_with_78(
    launcher: Launcher, body: str, message: str
) -> None:
    (launcher.folder / "link.log").symlink_to("elsewhere.log")
    run = start_text(launcher, HEAD + body)
    quoted = body.rpartition(" = ")[2].strip().replace("FOLDER", str(launcher.folder))
    assert_refused(launcher, run, 78, message.replace("UNDERLINE", "^" * len(quoted)))


@pytest.mark.parametrize(
    ("ids", "found", "hint"),
    [
        ("0,,1", "an empty id in '0,,1'", "remove the spare comma"),
        ("gpu0", "'gpu0'", "write 0 for that GPU"),
    ],
)
def test_gpu_ids_that_are_none_are_refused(
    launcher: Launcher, ids: str, found: str, hint: str
) -> None:
    run = start_text(launcher, f'{HEAD}[instance.a.control]\ngpu_ids = "{ids}"\n')
    expected = 'expected "all", "none" or GPU ids like "0,1"'
    message = (
        f"error: FOLDER/vllm.toml:7:11: {expected}, got {found}\n"
        f'   7 | gpu_ids = "{ids}"\n'
        f"     |           ^^^^^^\n"
        f"hint: {hint}\n"
    )
    assert_refused(launcher, run, 78, message)


@pytest.mark.parametrize("python", ["/no/such/python", "no-such-python"])
def test_python_that_does_not_exist_is_refused_with_69(launcher: Launcher, python: str) -> None:
    text = f'[master]\npython = "{python}"\napi_server_module = "{STUB}"\n[instance.a.server]\n'
    message = (
        f"error: FOLDER/vllm.toml:2:10: 'python': there is no program '{python}'\n"
        f'   2 | python = "{python}"\n'
        f"     |          {'^' * (len(python) + 2)}\n"
        "hint: correct the path, or install it there\n"
    )
    assert_refused(launcher, start_text(launcher, text), 69, message)


def test_log_folder_that_cannot_be_made_is_refused_with_71(launcher: Launcher) -> None:
    body = (
        '[instance.a.control]\nlog_dir = "/proc/self/fdinfo/logs"\n[instance.a.server]\nport = 0\n'
    )
    run = start_text(launcher, HEAD + body.replace("port = 0", f"port = {free_port()}"))
    message = (
        "error: the log '/proc/self/fdinfo/logs/vllm-server-a.log' cannot be opened: "
        "no such file or directory\n"
        "hint: give another log_dir or log_file\n"
    )
    assert_refused(launcher, run, 71, message)
