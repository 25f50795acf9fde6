"""JSON Schema of a server table, for editors. Pure."""

from __future__ import annotations

from launcher.server.catalogue.texts import find_help

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from launcher.server.catalogue.lookup import Catalogue
    from launcher.server.catalogue.option import Option

    Schema = dict[str, Any]

SIZE = r"^\d+(\.\d+)?[kmgt]$|^\d+[KMGT]$|^-?\d+$"
TYPES: dict[str, Schema] = {
    "flag": {"type": "boolean"},
    "string": {"type": ["string", "number"]},
    "csv": {"anyOf": [{"type": "string"}, {"type": "array"}]},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "size": {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": SIZE}]},
    "size_or_auto": {
        "anyOf": [{"type": "integer"}, {"type": "string", "pattern": f"^auto$|{SIZE}"}]
    },
    "json_or_string": {"type": ["object", "string"]},
    "flag_or_string": {"type": ["boolean", "string"]},
    "truthy": {"type": ["boolean", "string"]},
}
JSON_TYPES = {"object": "object", "array": "array", "any": ["object", "array"]}


def render_schema(catalogue: Catalogue, help_text: str) -> Schema:
    """Render the properties of `[instance.server]`, without those of the launcher itself.

    `help_text` is what `data.load_help` returns. Unknown keys are left to `vllmd check`, which
    names the nearest one.
    """
    properties = {
        option.name: render_option(option, find_help(help_text, catalogue, option.name))
        for option in catalogue.options()
    }
    return {"type": "object", "properties": properties}


def render_option(option: Option, text: str) -> Schema:
    """Render one option: its type, choices, default and description."""
    schema = _several(option, _one(option))
    if text:
        schema["description"] = text
    if option.default_known and option.default is not None:
        schema["default"] = option.default
    if option.deprecated:
        schema["deprecated"] = True
    return schema


def _one(option: Option) -> Schema:
    if option.kind == "json":
        # The text of a JSON document is taken too, as in vLLM's own command line.
        plain = JSON_TYPES[option.json or "any"]
        names = plain if isinstance(plain, list) else [plain]
        return {"type": [*names, "string"]}
    if not option.choices:
        return dict(TYPES[option.kind])
    if option.suggested or option.folded:
        return {"anyOf": [{"enum": list(option.choices)}, dict(TYPES[option.kind])]}
    return {"enum": [choice for choice in option.choices if choice != "None"]}


def _several(option: Option, one: Schema) -> Schema:
    if option.several or option.append:
        return {"anyOf": [one, {"type": "array", "items": one}]}
    return one
