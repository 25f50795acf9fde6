"""KVBM's sample files and reference page: true to the model, and without mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from launcher.config.document import Document, decode_toml
from launcher.config.layers import layer
from launcher.config.problems import Origin
from launcher.kvbm.environment import VARIABLES
from launcher.kvbm.loading import read_overrides
from launcher.kvbm.model import KvbmConfig
from launcher.kvbm.plan import plan_transfer
from launcher.kvbm.resolve import KvbmFacts, Resolution, collect_layers, resolve
from launcher.kvbm.samples import SAMPLES
from launcher.kvbm.tables import TABLES
from tools.docs import render_kvbm_page

ROOT = Path(__file__).resolve().parents[2]
TOML = ROOT / "model-configs" / "kvbm.example.toml"
JSON = ROOT / "model-configs" / "kvbm.example.json"
FULL = ROOT / "model-configs" / "kvbm.full.example.json"
UNSIZED = "no cache tier has a size, so KVBM keeps nothing"


def loaded(document: Document) -> Resolution:
    facts = KvbmFacts(cpu_count=64, environ={})
    return resolve(collect_layers(facts, (document,)), facts.cpu_count)


def toml(text: str) -> Document:
    return decode_toml(text.encode(), Origin(kind="file", name=TOML.name))


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_is_what_the_model_says(name: str) -> None:
    assert (ROOT / name).read_text() == SAMPLES[name](), "run python tools/docs.py"


def test_page_is_what_the_model_says() -> None:
    page = (ROOT / "docs" / "kvbm.md").read_text()
    assert page == render_kvbm_page(page), "run python tools/docs.py"


@pytest.mark.parametrize("path", [TOML, JSON], ids=lambda path: path.name)
def test_sample_of_defaults_changes_nothing(path: Path) -> None:
    text = path.read_text()
    found = loaded(toml(text) if path == TOML else read_overrides(text))
    assert [problem.message for problem in found.problems] == [UNSIZED]
    assert found.leader.config == found.worker.config == KvbmConfig()


def test_toml_sample_with_every_setting_on_is_right() -> None:
    # One member of each union, and one of address and interface.
    parts = re.split(r"\n(?=\n# )", TOML.read_text())
    kept = [part for part in parts if "discovery.p2p" not in part and "filesystem]" not in part]
    kept = [part for part in kept if 'type = "nixl"' not in part]
    text = re.sub(r"(?m)^#(?=[\[a-z])", "", "\n".join(kept))
    text = re.sub(r"(?m)^(tcp_interface|num_blocks) = .*", "", text)
    assert loaded(toml(text)).problems == ()


def test_full_sample_is_right() -> None:
    assert loaded(read_overrides(FULL.read_text())).problems == ()


@pytest.mark.parametrize("path", [TOML, FULL], ids=lambda path: path.name)
def test_sample_names_every_option(path: Path) -> None:
    text = path.read_text()
    assert [key.name for row in TABLES for key in row.keys if key.name not in text] == []


def test_full_sample_is_one_object_with_three_sections() -> None:
    assert list(json.loads(FULL.read_text())) == ["default", "leader", "worker"]


def test_page_names_every_variable() -> None:
    page = (ROOT / "docs" / "kvbm.md").read_text()
    assert [each.name for each in VARIABLES if f"`{each.name}`" not in page] == []


def test_example_of_the_page_plans_without_problems() -> None:
    page = (ROOT / "docs" / "kvbm.md").read_text()
    example = page.partition("```toml\n")[2].partition("```")[0]
    tree = layer((toml(example),))
    made = plan_transfer(tree, "chat", KvbmFacts(cpu_count=64, environ={}))
    assert made.problems == ()
    assert made.value is not None
