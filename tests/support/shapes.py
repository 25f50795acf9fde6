"""TOML values of every shape that an option takes, each with the value that the user means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.server.catalogue.option import Option

Case = tuple[Any, Any]  # value in TOML, value meant

TEXTS = ["plain", "two words", "-dash", "--two-dashes", "a=b", "ünï", "{brace", "a.b", "-0.5", "7"]
NUMBERS: list[Case] = [(0.5, 0.5), (3, 3.0), (-0.25, -0.25), ("0.75", 0.75), (1e-7, 1e-7)]
INTEGERS: list[Case] = [(0, 0), (7, 7), (-3, -3), ("8", 8), (2**40, 2**40)]
SIZES: list[Case] = [
    (4096, 4096),
    ("4096", 4096),
    ("1k", 1000),
    ("1K", 1024),
    ("25.6k", 25600),
    ("2m", 2_000_000),
    ("2G", 2 * 2**30),
]
OBJECTS: list[dict[str, Any]] = [{}, {"a": 1}, {"a": {"b": [1.5, "x", True]}, "ü": "-"}]
ARRAYS: list[list[Any]] = [[], ["*"], ["https://a.example", "b"]]

# What these read is more than JSON: the values that their own code wants.
SPECIAL: dict[str, list[Case]] = {
    "lora_modules": [
        ("a=/path", [{"name": "a", "path": "/path"}]),
        (
            [{"name": "a", "path": "/p"}, "b=/q"],
            [{"name": "a", "path": "/p"}, {"name": "b", "path": "/q"}],
        ),
        ([], None),
    ],
    # The catalogue offers every platform's device, a parser that of its own platform.
    "mm_processor_device": [("auto", "auto"), ("cpu", "cpu")],
    "device_ids": [
        ("0,1", [0, 1]),
        ([0, 1], [0, 1]),
        (3, [3]),
        (["GPU-4b1d", 2], ["GPU-4b1d", 2]),
        ([], None),
    ],
}

# Tables for options whose dataclass has no plain defaults, or is known for more than those.
TABLES: dict[str, dict[str, Any]] = {
    "compilation_config": {"mode": 3, "cudagraph_capture_sizes": [1, 2, 4]},
    "ec_manager_config": {"encoder_cache_manager_cls": "package.Manager"},
    "ir_op_priority": {"rms_norm": ["native"]},
    "kv_transfer_config": {"kv_connector": "LMCacheConnectorV1", "kv_role": "kv_both"},
    "quantization_config": {"ignore": ["lm_head"]},
    "structured_outputs_config": {"backend": "xgrammar"},
}


def cases_of(option: Option, sample: dict[str, Any] | None) -> Iterator[Case]:
    """Yield values and their meanings.

    `sample` is a table that the option's dataclass takes; None where any table will do.
    """
    if option.name in SPECIAL:
        yield from SPECIAL[option.name]
        return
    ones = list(_ones(option, sample))
    if option.several or option.append:
        yield from _lists(option, [case for case in ones if case[1] is not None])
        return
    yield from ones
    if option.kind not in {"flag", "json", "flag_or_string", "truthy"}:
        yield from (([value], meant) for value, meant in ones if not isinstance(value, dict))
    if option.optional:
        yield ("None", None)
        yield ("", None)


def _ones(option: Option, sample: dict[str, Any] | None) -> Iterator[Case]:
    kind = option.kind
    if kind == "flag":
        yield from ((True, True), (False, False))
    elif kind == "flag_or_string":
        yield from ((True, True), (False, option.default), ("secret", "secret"), ("-s", "-s"))
    elif kind == "truthy":
        yield from ((True, True), (False, False), ("any text", True))
    elif option.choices and not option.suggested:
        yield from _choices(option)
    elif kind == "string":
        yield from ((text, text) for text in TEXTS)
        yield from ((5, "5"), (1.5, "1.5"))
    elif kind in {"size", "size_or_auto"}:
        yield from SIZES
        if kind == "size_or_auto":
            yield from (("auto", -1), (-1, -1))
    elif kind in {"json", "json_or_string"}:
        yield from _json(option, sample)
    else:
        yield from {"integer": INTEGERS, "number": NUMBERS}[kind]


def _choices(option: Option) -> Iterator[Case]:
    for choice in option.choices:
        yield choice, choice
        if option.folded:
            yield str(choice).upper().replace("_", "-"), choice


def _json(option: Option, sample: dict[str, Any] | None) -> Iterator[Case]:
    things: list[Any] = ARRAYS if option.json == "array" else OBJECTS
    if option.name in TABLES:
        things = [TABLES[option.name]]
    elif sample is not None:
        things = [sample]
    for thing in things:
        yield thing, thing
        yield json.dumps(thing), thing
    if option.kind == "json_or_string":
        yield "some text", "some text"


def _lists(option: Option, ones: list[Case]) -> Iterator[Case]:
    for value, meant in ones:
        yield value, [meant]
        yield [value], [meant]
    plain = [case for case in ones if not str(case[0]).startswith("-")] or ones
    yield [value for value, _ in plain], [meant for _, meant in plain]
    yield [], option.default
