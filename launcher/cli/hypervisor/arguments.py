"""The command lines of `vllmd-hypervisor`: what their help says of variables and defaults. Pure."""

from __future__ import annotations

import textwrap

from launcher.cli.arguments import new_parser
from launcher.hypervisor.variables import VARIABLES
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.cli.arguments import Parser
    from launcher.hypervisor.variables import Variable

PROGRAM = "vllmd-hypervisor"
# Those that read the host's file; the file of `start --config` is another one.
FILE_COMMANDS = VARIABLES["VLLMD_HYPERVISOR_CONFIG"].used_by
WIDTH = 100


def new_hypervisor_parser(command: str, description: str, examples: str = "") -> Parser:
    """Return a parser whose help lists the variables that the command reads, from the registry.

    Defaults of options that a variable gives are told by `default_of`.
    """
    parts = [render_variables(command), examples]
    epilog = "\n".join(part for part in parts if part)
    return new_parser(command, description, epilog, program=PROGRAM)


def render_variables(command: str) -> str:
    """Render the variables of a command, and where the default of each comes from."""
    rows = [each for each in VARIABLES.values() if command in each.used_by]
    if not rows:
        return ""
    if command not in FILE_COMMANDS:
        rows = [replace(each, key="") for each in rows]
    wins = any(each.key for each in rows)
    head = "environment variables" + (", each over its key of the file" if wins else "")
    return f"{head}:\n" + "".join(_render_row(each) for each in rows)


def default_of(name: str) -> str:
    """Say where the default of an option comes from: a variable, then a key, then a value."""
    variable = VARIABLES[name]
    key = f", else {variable.key} in the file" if variable.key else ""
    return f"default: {name}{key}, else {default_words(variable)}"


def default_words(variable: Variable) -> str:
    """Say what holds where a variable is not set."""
    if variable.required:
        return "required"
    return variable.default_words or variable.default


def _render_row(variable: Variable) -> str:
    words = default_words(variable)
    if not variable.required:
        words = f"{variable.key} in the file, else {words}" if variable.key else words
        words = f"default: {words}"
    choices = f": {', '.join(variable.choices)}" if variable.choices else ""
    text = textwrap.fill(
        f"{variable.doc}{choices} ({words})",
        WIDTH,
        initial_indent="      ",
        subsequent_indent="      ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    return f"  {variable.name}\n{text}\n"
