"""`vllmd-hypervisor COMMAND --help` says where each default comes from; no variable is for show."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from launcher.cli.hypervisor.main import COMMANDS
from launcher.cli.variables import VARIABLES as LAUNCHER_VARIABLES
from launcher.hypervisor.variables import OTHER_VARIABLES, PREFIX, VARIABLES

ROOT = Path(__file__).resolve().parents[2]
READERS = sorted({command for row in VARIABLES.values() for command in row.used_by})
SOURCE = "\n".join(
    path.read_text("utf-8")
    for folder in ("launcher/hypervisor", "launcher/cli/hypervisor")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != ROOT / "launcher/hypervisor/variables.py"
)


def help_of(capsys: pytest.CaptureFixture[str], command: str) -> str:
    module = import_module(f"launcher.cli.hypervisor.{command.replace('-', '_')}")
    with pytest.raises(SystemExit):
        module.main(["--help"], {"HOME": "/home/ada", "PATH": "/usr/bin"})
    return " ".join(capsys.readouterr().out.split())


def test_readers_of_variables_are_commands() -> None:
    assert set(READERS) <= COMMANDS.keys()


@pytest.mark.parametrize("command", READERS)
def test_help_says_where_each_default_comes_from(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    text = help_of(capsys, command)
    for row in VARIABLES.values():
        if command not in row.used_by:
            continue
        default = "required" if row.required else row.default_words or row.default
        # The commands of one guest do not read the host's file.
        reads = command in VARIABLES["VLLMD_HYPERVISOR_CONFIG"].used_by
        file = f"{row.key} in the file, else " if row.key and reads else ""
        where = f"({default})" if row.required else f"(default: {file}{default})"
        after = text.partition(f" {row.name} ")[2]
        assert where in after, f"{command} --help: {row.name}"


@pytest.mark.parametrize("name", [row.name for row in VARIABLES.values() if not row.key])
def test_variable_is_read_somewhere(name: str) -> None:
    # By its whole name, or by what follows one of the two prefixes.
    short = name.removeprefix(PREFIX).removeprefix("HYPERVISOR_")
    assert re.search(rf'"{name}"|\}}{short}"', SOURCE), f"nobody reads {name}"


def test_variables_of_the_launcher_are_no_strangers() -> None:
    ours = {name for name in LAUNCHER_VARIABLES if name.startswith(PREFIX)}
    assert ours <= OTHER_VARIABLES.keys()
    assert not OTHER_VARIABLES.keys() & VARIABLES.keys()
