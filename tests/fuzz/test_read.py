"""Whatever a file or a variable holds: reading gives problems, never a traceback, and no secret."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from launcher.config.document import Document, parse_toml
from launcher.config.layers import layer
from launcher.config.masking import find_secrets, mask_line
from launcher.config.overrides import parse_overrides
from launcher.config.problems import Origin
from launcher.config.report import (
    Locator,
    render_count,
    render_github,
    render_json,
    render_text,
    sort_problems,
)
from launcher.errors import ConfigError
from launcher.server.read import read_config
from tests.support.toml_text import SCALARS, TABLES, toml_texts, values

FILE = Origin(kind="file", name="vllm.toml")
SECRET = "sk-4f1d"  # noqa: S105  (what must not be shown)
SECRET_NAMES = ["api_key", "hf_token", "HF_TOKEN", "api-key", "VLLM_API_KEY", "password"]

# Trees that look like a configuration nearly everywhere, so that reading gets deep.
NAMES = """
    master instance control server env enable enabled background log_dir gpu_ids extra_args port
    log_keep startup_timeout_s max-model-len max_model_len demo a.b python kvbm
"""
WORDS = st.sampled_from(NAMES.split())
ODD = st.one_of(SCALARS, st.sampled_from([0, -1, "0,,1", "0,0", "gpu0", [], {}, [0, "1"], 1e400]))
LIKELY = st.recursive(
    ODD, lambda inner: st.dictionaries(WORDS, inner, max_size=4) | st.lists(inner), max_leaves=12
)
CONFIGS = st.fixed_dictionaries(
    {}, optional={"master": LIKELY, "instance": LIKELY, "instanc": values()}
)
JSON_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    JSON_SCALARS, lambda inner: st.dictionaries(WORDS, inner) | st.lists(inner), max_leaves=12
)


def _rendered(*documents: Document) -> str:
    config = read_config(documents)
    pairs = sort_problems(config.problems, Locator(documents))
    shown = [render_json(pairs), render_count(config.problems)]
    for problem, spot in pairs:
        shown += [render_text(problem, spot, colour=True), render_github(problem, spot)]
    assert all(isinstance(json.loads(shown[0]), list) for _ in pairs)
    return "\n".join(shown)


@given(toml_texts(CONFIGS))
def test_read_config_any_toml_renders_every_problem(text: str) -> None:
    _rendered(parse_toml(text, FILE))


@given(toml_texts(TABLES), st.dictionaries(WORDS, JSON))
def test_read_config_any_overrides_renders_every_problem(text: str, data: dict[str, Any]) -> None:
    documents = [parse_toml(text, FILE)]
    with contextlib.suppress(ConfigError):  # surrogates, huge integers, NaN
        documents.append(parse_overrides(json.dumps(data)))
    _rendered(*documents)


@given(TABLES, TABLES)
def test_layer_any_tables_is_idempotent_and_changes_nothing(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    before = repr((one, other))
    low, high = (Document(origin=FILE, text="", data=data) for data in (one, other))
    once = layer((low, high)).data
    assert layer((low, high, high)).data == once
    assert repr((one, other)) == before


SECRET_VALUES = st.sampled_from(
    [SECRET, [SECRET, 1], {"value": SECRET}, f"\n{SECRET}\n=\n", f'"{SECRET}"', f"x#{SECRET}'''"]
)
WITH_SECRETS = st.recursive(
    st.dictionaries(st.sampled_from(SECRET_NAMES), SECRET_VALUES, min_size=1, max_size=2),
    lambda inner: st.dictionaries(
        WORDS, st.one_of(inner, SCALARS, st.lists(inner)), min_size=1, max_size=3
    ),
    max_leaves=6,
)


def _shown_lines(text: str) -> str:
    spans, start, shown = find_secrets(text), 0, []
    for line in text.split("\n"):
        shown.append(mask_line(start, line, spans, 1)[0])
        start += len(line) + 1
    return "\n".join(shown)


@given(toml_texts(WITH_SECRETS))
def test_mask_line_any_position_of_a_secret_hides_it(text: str) -> None:
    assert SECRET not in _shown_lines(text)


@given(toml_texts(WITH_SECRETS), st.integers(0, 10_000))
def test_mask_line_text_cut_anywhere_hides_secrets(text: str, end: int) -> None:
    assert SECRET not in _shown_lines(text[: end % (len(text) + 1)])


@given(toml_texts(st.fixed_dictionaries({"master": WITH_SECRETS, "instance": WITH_SECRETS})))
def test_read_config_secrets_anywhere_are_never_rendered(text: str) -> None:
    assert SECRET not in _rendered(parse_toml(text, FILE))


@given(WITH_SECRETS)
def test_read_config_secrets_in_overrides_are_never_rendered(data: dict[str, Any]) -> None:
    assert SECRET not in _rendered(parse_overrides(json.dumps({"instance": data}, default=str)))
