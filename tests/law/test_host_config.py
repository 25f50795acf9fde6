"""The host's file: schema, example and documentation say what the reader takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.config.document import parse_toml
from launcher.config.problems import Origin
from launcher.hypervisor.host.keys import TABLES
from launcher.hypervisor.host.read import read_host
from launcher.hypervisor.host.schema import KEY_SCHEMAS
from launcher.hypervisor.variables import HOST_VARIABLES
from tests.support.require import require

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "host-configs").glob("*.toml"))
PAGE = (ROOT / "docs/hypervisor.md").read_text("utf-8")
SNIPPETS = [
    text for text in re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    if "[[runtimes]]" in text
]  # fmt: skip
TAPLO = Path(sys.executable).with_name("taplo")


def run_taplo(path: Path) -> subprocess.CompletedProcess[str]:
    """Check one file as an editor would, by the schema that its first line names."""
    require("law", f"'taplo' is not installed beside {sys.executable}", present=TAPLO.exists())
    return subprocess.run(
        [TAPLO, "check", str(path)], cwd=path.parent, text=True, capture_output=True, check=False
    )


def messages_of(text: str) -> list[str]:
    file = parse_toml(text, Origin(kind="file", name="config.toml"))
    reading = read_host(file, {"HOME": "/home/ada"}, "ada")
    return [problem.message for problem in reading.problems]


def test_schema_knows_every_key_and_no_other() -> None:
    assert set(KEY_SCHEMAS) == {key.name for keys in TABLES.values() for key in keys}


def test_variable_that_wins_over_a_key_names_one() -> None:
    keys = {f"{table}.{key.name}" for table, rows in TABLES.items() for key in rows}
    assert {row.key for row in HOST_VARIABLES if row.key} <= keys


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_is_read_without_problems_and_fits_the_schema(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith("#:schema ./vllmd-hypervisor.schema.json\n")
    assert messages_of(text) == []
    result = run_taplo(path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("text", SNIPPETS)
def test_snippet_of_the_documentation_is_read_without_problems(text: str) -> None:
    assert messages_of(text) == []


def test_examples_and_snippets_are_found() -> None:
    assert EXAMPLES
    assert SNIPPETS


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[globl]\n", "Additional properties are not allowed ('globl'"),
        ("[global]\ndefault_cpus = 0", "0 is less than the minimum of 1"),
        ("[[runtimes]]\nindex = 1", '"name" is a required property'),
        ("[[runtimes]]\nindex = 1\nname = 'a'\ngpus = ['01:00.0']", "does not match"),
        ("[network]\nbridge_name = 'a-bridge-of-20-bytes'", "is longer than 15 characters"),
        ("[guest]\nconfig = '/x'", "Additional properties are not allowed ('config'"),
    ],
)
def test_schema_refuses_what_the_reader_refuses(tmp_path: Path, text: str, complaint: str) -> None:
    schema = ROOT / "host-configs/vllmd-hypervisor.schema.json"
    path = tmp_path / "bad.toml"
    path.write_text(f"#:schema {schema.as_uri()}\n{text}\n")
    result = run_taplo(path)
    assert result.returncode == 1
    assert complaint in result.stderr
    assert messages_of(text) != []
