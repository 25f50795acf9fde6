"""Every environment variable of ours that the code names is in the manual."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from launcher.cli.variables import VARIABLES

PACKAGE = Path(__file__).parents[2] / "launcher"
OURS = re.compile(r"(AUTO_INFER_VLLM|VLLMD)(_[A-Z0-9]+)+")
# Given to servers, or to a shell, by the launcher, not read by it.
GIVEN = {"VLLMD_INSTANCE", "VLLMD_SPARE", "VLLMD_LAST"}


def names_in_code() -> set[str]:
    """Return what is written as a name of a variable; the hypervisor's page has its own."""
    paths = [path for path in PACKAGE.rglob("*.py") if "hypervisor" not in path.parts]
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text())))
    texts = (node.value for node in nodes if isinstance(node, ast.Constant))
    return {text for text in texts if isinstance(text, str) and OURS.fullmatch(text)}


def test_every_variable_that_the_code_names_is_in_the_manual() -> None:
    assert names_in_code() - GIVEN - set(VARIABLES) == set()


def test_every_variable_of_the_manual_is_in_the_code() -> None:
    ours = {name for name in VARIABLES if OURS.fullmatch(name)}
    assert ours <= names_in_code()
