from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from launcher.config.document import Document, parse_assignment, parse_toml
from launcher.config.layers import DEFAULT, layer, overlay
from launcher.config.overrides import parse_overrides
from launcher.config.problems import Origin

FILE = Origin(kind="file", name="vllm.toml")

# RFC 7396, appendix A, as far as both are objects; the original holds no null, as TOML has none.
RFC_7396 = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]


def _document(data: dict[str, Any], kind: str = "file") -> Document:
    return Document(origin=Origin(kind=kind, name=kind), text="", data=data)


@pytest.mark.parametrize(("original", "patch", "result"), RFC_7396)
def test_layer_json_patch_merges_as_rfc_7396(original: str, patch: str, result: str) -> None:
    tree = layer((_document(json.loads(original)), parse_overrides(patch)))
    assert tree.data == json.loads(result)


def test_layer_lists_are_replaced_whole() -> None:
    documents = (_document({"a": [1, 2], "t": {"l": [1]}}), _document({"a": [3], "t": {"l": []}}))
    assert layer(documents).data == {"a": [3], "t": {"l": []}}


def test_layer_only_overrides_removes_nulls() -> None:
    assert layer((parse_overrides('{"a": null, "b": {"c": null}}'),)).data == {"b": {}}


def test_layer_value_after_null_is_set_anew() -> None:
    file = parse_toml("[a]\nx = 1\n", FILE)
    documents = (file, parse_overrides('{"a": null}'), parse_assignment("a.y=2"))
    assert layer(documents).data == {"a": {"y": 2}}


def test_layer_documents_stay_as_they_are() -> None:
    documents = (_document({"a": {"b": {"c": [1]}}}), _document({"a": {"b": {"c": [2], "d": 1}}}))
    before = copy.deepcopy([document.data for document in documents])
    layer(documents)
    assert [document.data for document in documents] == before


def test_layer_table_over_value_and_value_over_table_replaces() -> None:
    assert layer((_document({"a": 1}), _document({"a": {"b": 1}}))).data == {"a": {"b": 1}}
    assert layer((_document({"a": {"b": 1}}), _document({"a": 1}))).data == {"a": 1}


def test_layer_keys_keep_the_order_of_the_lowest() -> None:
    tree = layer((_document({"z": 1, "a": 1}), _document({"b": 1, "z": 2})))
    assert list(tree.data) == ["z", "a", "b"]


def test_origin_is_the_last_document_that_holds_the_path() -> None:
    file = parse_toml("[a]\nx = 1\ny = [1, 2]\n", FILE)
    tree = layer((file, parse_overrides('{"a": {"x": 2}}'), parse_assignment("b=1")))
    assert tree.origin(("a", "x")).kind == "override"
    assert tree.origin(("a", "y", 1)) == FILE
    assert tree.origin(("b",)).name == "--set b"
    assert tree.origin(("a", "nowhere")) == DEFAULT
    assert tree.origin(("a", "y", 2)) == DEFAULT


def test_overlay_merges_as_layers_do() -> None:
    assert overlay({"a": 1, "t": {"x": 1}}, {"t": {"y": 2}}) == {"a": 1, "t": {"x": 1, "y": 2}}
    assert overlay({"a": [1]}, {"a": [2]}) == {"a": [2]}
    assert overlay({}, {"a": 1}) == overlay({"a": 1}, {}) == {"a": 1}
