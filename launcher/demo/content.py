"""The files of the demo model, as bytes."""

from __future__ import annotations

import json

from launcher.demo.architecture import (
    Architecture,
    plan_tensors,
    render_config,
    render_generation_config,
)
from launcher.demo.tokenizer import (
    END_OF_TEXT_ID,
    VOCABULARY_SIZE,
    render_tokenizer,
    render_tokenizer_config,
)
from launcher.demo.weights import render_safetensors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SEED = 0


def render_demo_model() -> Mapping[str, bytes]:
    """Return name -> content of every file, always the same bytes.

    `config.json` comes last: written in this order, a directory that has it has all the others.
    """
    architecture = Architecture(vocabulary=VOCABULARY_SIZE)
    return {
        "model.safetensors": render_safetensors(plan_tensors(architecture), SEED),
        "tokenizer.json": _render_json(render_tokenizer()),
        "tokenizer_config.json": _render_json(render_tokenizer_config(architecture.max_positions)),
        "generation_config.json": _render_json(render_generation_config(END_OF_TEXT_ID)),
        "config.json": _render_json(render_config(architecture, END_OF_TEXT_ID)),
    }


def _render_json(value: dict[str, object]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
