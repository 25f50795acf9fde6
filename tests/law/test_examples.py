"""The examples that users copy: every one is a plan without a word of complaint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from launcher.cli.check import main
from launcher.server.catalogue.data import load_catalogue
from tests.support.facts import messages_of, plan_text

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "model-configs").glob("*.toml"))
# The files of KVBM itself have a suite of their own: test_kvbm_samples.py.
EXAMPLES = [path for path in FILES if not path.name.startswith("kvbm.")]
# The README's page and the reference show whole tables as well.
SNIPPETS = [
    (page, position, text)
    for page in ("README.md", "docs/configuration.md")
    for position, text in enumerate(
        re.findall(
            r"^```toml\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
    )
    if "[instance." in text
]
VERSIONS = ("0.32.0", load_catalogue().versions[-1])
# What the examples refer to: the machine of a user has it.
SECRETS = {"/run/secrets/chat": "key", "/run/secrets/qwen": "key"}
ENVIRON = {
    "PATH": "/usr/bin",
    "QWEN_API_KEY": "key",
    "VLLMD_CLUSTER_RANK": "0",
    "VLLMD_CLUSTER_LEADER": "10.0.0.1",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_planned_without_problems(path: Path, version: str) -> None:
    plan = plan_text(path.read_text("utf-8"), vllm_version=version, environ=ENVIRON)
    assert messages_of(plan) == []
    assert plan.processes() != ()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("page", "position", "text"), SNIPPETS)
def test_snippet_of_the_documentation_is_planned_without_problems(
    page: str, position: int, text: str, version: str
) -> None:
    plan = plan_text(text, vllm_version=version, environ=ENVIRON, secrets=SECRETS)
    problems = [each for each in messages_of(plan) if "has no model" not in each[1]]
    assert problems == [], f"{page}, snippet {position}"


def test_examples_and_snippets_are_found() -> None:
    assert len(EXAMPLES) >= 9
    assert {page for page, _, _ in SNIPPETS} >= {"README.md"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_can_be_checked_away_from_its_machine(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(path), "--elsewhere", "--vllm-version", "0.32.0"], {"PATH": ""}) == 0
    assert capsys.readouterr().out.startswith("ok: would start ")
