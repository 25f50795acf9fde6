from __future__ import annotations

import hashlib
import json

from launcher.demo.content import render_demo_model


def test_demo_model_is_the_same_bytes_every_time() -> None:
    assert render_demo_model() == render_demo_model()


def test_demo_model_weights_are_the_published_ones() -> None:
    """Recorded answers depend on these bytes: whoever changes them has to mean it."""
    digest = hashlib.sha256(render_demo_model()["model.safetensors"]).hexdigest()
    assert digest == "76e530de893b240de11e7eea739c8e3fbaf9a137a1bc268443032f008fb053e7"


def test_demo_model_is_less_than_one_megabyte() -> None:
    assert sum(map(len, render_demo_model().values())) < 1_000_000


def test_demo_model_ends_with_its_config() -> None:
    assert list(render_demo_model())[-1] == "config.json"


def test_demo_model_json_files_parse_and_agree() -> None:
    files = {
        name: json.loads(content)
        for name, content in render_demo_model().items()
        if name.endswith(".json")
    }
    assert files["config.json"]["vocab_size"] == len(files["tokenizer.json"]["model"]["vocab"])
    assert files["config.json"]["eos_token_id"] == files["generation_config.json"]["eos_token_id"]
