"""`--help` of each command says where every default comes from."""

from __future__ import annotations

import pytest

from launcher.cli.hypervisor.arguments import default_of, new_hypervisor_parser
from launcher.hypervisor.variables import VARIABLES

COMMANDS = sorted({command for row in VARIABLES.values() for command in row.used_by})


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_each_variable_with_its_default(command: str) -> None:
    text = new_hypervisor_parser(command, "Do it.").format_help()
    shown = " ".join(text.split())
    for row in VARIABLES.values():
        assert (row.name in shown.split()) == (command in row.used_by)
        if command in row.used_by:
            assert (row.default_words or row.default or "required") in shown


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("VLLMD_HYPERVISOR_DRY_RUN", "default: VLLMD_HYPERVISOR_DRY_RUN, else false"),
        (
            "VLLMD_BRIDGE_NAME",
            "default: VLLMD_BRIDGE_NAME, else network.bridge_name in the file, else vllmd-br0",
        ),
        (
            "VLLMD_HYPERVISOR_KERNEL_FILEPATH",
            "default: VLLMD_HYPERVISOR_KERNEL_FILEPATH, else required",
        ),
    ],
)
def test_default_of_an_option_is_told(name: str, words: str) -> None:
    assert default_of(name) == words


def test_command_without_variables_shows_its_examples_only() -> None:
    assert new_hypervisor_parser("image", "Do it.", "example: x\n").epilog == "example: x\n"


@pytest.mark.parametrize("command", ["start", "stop", "status", "logs"])
def test_commands_of_one_guest_read_no_file_of_the_host(command: str) -> None:
    text = new_hypervisor_parser(command, "Do it.").format_help()
    assert "environment variables:\n" in text
    assert "in the file" not in text
