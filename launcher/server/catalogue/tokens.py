"""From a TOML value to the tokens of vLLM's command line. Pure.

    string, number   `--key value`; `--key=value` where the value begins with `-`
    true             `--key`
    false            nothing; `--no-key` where the parser has it and leaving it out would not mean
                     false
    list             `--key v1 v2` where several values may follow the flag; one JSON text where the
                     option takes JSON; `v1,v2` where it takes that; else `--key v1 --key v2`
    table            `--key '<compact JSON>'`
    empty list       nothing; `--key []` where the option takes JSON

Without an option (not one of vLLM's, or an API server that is not vLLM's) the contract's own rules
hold: true is the flag, false is nothing, a list is the flag repeated.
"""

from __future__ import annotations

from launcher.server.catalogue.option import flag_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import TomlValue
    from launcher.server.catalogue.option import Option

JSON_KINDS = frozenset({"json", "json_or_string"})


def render_tokens(key: str, value: TomlValue, option: Option | None) -> list[str]:
    """Render one setting. `value` has passed `values.check_value`: it holds no date or null."""
    flag = flag_of(key) if option is None else option.flag
    if isinstance(value, bool):
        return _render_boolean(flag, value, option)
    if isinstance(value, list):
        return _render_list(flag, value, option)
    return _render_pair(flag, value_text(value))


def value_text(value: TomlValue) -> str:
    """Render a value as the text of one token."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, list, dict)):
        import json  # noqa: PLC0415  (see `option.parse_json`)

        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


def _render_boolean(flag: str, value: bool, option: Option | None) -> list[str]:
    kind = "flag" if option is None else option.kind
    if kind == "truthy":  # any text is true, "false" too
        return [flag, "true"] if value else [flag + "="]
    if kind == "json":
        return [flag, value_text(value)]
    if value:
        return [flag]
    if option is None or not option.negative:
        return []
    means_false = option.default_known and option.default is False
    return [] if means_false else [option.negative]


def _render_list(flag: str, values: list[TomlValue], option: Option | None) -> list[str]:
    if option is not None and option.kind == "json" and not option.several:
        return [flag, value_text(values)]
    texts = [value_text(value) for value in values]
    if not texts:
        return []
    if option is not None and option.kind == "csv":
        return _render_pair(flag, ",".join(texts))
    if option is not None and option.several and len(texts) > 1:
        return [flag, *texts]
    return [token for text in texts for token in _render_pair(flag, text)]


def _render_pair(flag: str, text: str) -> list[str]:
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]
