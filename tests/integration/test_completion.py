"""What bash, zsh and fish offer: the scripts of `vllmd completion`, in the shells themselves."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Commands
from tests.support.require import require_program

if TYPE_CHECKING:
    from pathlib import Path

# What is asked for when Tab is pressed behind the words.
BASH = """
source ./script
compopt() { :; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
"_${1//-/_}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
# The functions of zsh's completion system, with their words printed.
ZSH = """
compadd() { shift; print -l -- $@ }
_describe() { print -l -- ${offered%%:*} }
_files() { print -l -- *(N) }
service=$1; words=("$@"); CURRENT=$#
source ./script
"""
FISH = "source ./script; complete -C (string join ' ' -- $argv) | string replace -r '\\t.*' ''"


class Shell:
    """Asks one shell what it offers."""

    def __init__(self, name: str, folder: Path) -> None:
        """Write the script for a shell, which must be installed."""
        self.program = require_program("integration", name)
        self.name = name
        self.folder = folder
        done = Commands(folder).run("completion", name)
        assert done.code == 0, done.err
        (folder / "script").write_text(done.out)

    def offers(self, *words: str) -> set[str]:
        """Return what the shell offers for the last of the words, which may be empty."""
        texts = {"bash": BASH, "zsh": ZSH, "fish": FISH}
        dashes = ["--"] if self.name == "fish" else [self.name]
        done = subprocess.run(
            [self.program, "-c", texts[self.name], *dashes, *words],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        return set(done.stdout.split())


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    return Shell(request.param, tmp_path)


def test_commands_are_offered(shell: Shell) -> None:
    assert {"run", "check", "render", "completion"} <= shell.offers("vllmd", "")


def test_commands_of_the_hypervisor_are_offered(shell: Shell) -> None:
    assert {"start", "precheck", "install-systemd"} <= shell.offers("vllmd-hypervisor", "")


def test_options_of_a_command_are_offered(shell: Shell) -> None:
    offered = shell.offers("vllmd", "check", "--")
    assert {"--elsewhere", "--format"} <= offered
    assert "--wait-ready" not in offered


def test_choices_of_an_option_are_offered(shell: Shell) -> None:
    assert shell.offers("vllmd", "check", "--format", "") == {"text", "json", "github"}


def test_commands_below_a_command_are_offered(shell: Shell) -> None:
    assert {"show", "check", "flag"} <= shell.offers("vllmd", "kvbm", "")


def test_choices_of_a_word_are_offered(shell: Shell) -> None:
    assert {"bash", "zsh", "fish"} <= shell.offers("vllmd", "completion", "")


def test_files_are_offered_where_a_configuration_belongs(shell: Shell) -> None:
    (shell.folder / "vllm.toml").write_text("")
    assert "vllm.toml" in shell.offers("vllmd", "check", "")


def test_another_shell_is_refused(tmp_path: Path) -> None:
    done = Commands(tmp_path).run("completion", "tcsh")
    assert done.code == 64
    assert "invalid choice: 'tcsh'" in done.err
