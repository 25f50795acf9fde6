"""Parse tokens with the parser of the vLLM installed beside the interpreter that runs this.

Reads one JSON object per line, answers each with one. First it says which options there are.

    {"tokens": [...], "dest": "port", "fields": null}   ->  {"value": 8000} or {"error": "..."}

Of a dataclass the answer has the `fields` asked for.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import io
import json
import logging
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def main() -> None:
    """Answer until standard input ends."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with redirect_stdout(sys.stderr):
        force_platform()
        parser = make_parser()
    flags = {flag: action.dest for flag, action in parser._option_string_actions.items()}  # noqa: SLF001
    _say({"options": [describe(action) for action in parser._actions], "flags": flags})  # noqa: SLF001
    for line in sys.stdin:
        _say(answer(parser, json.loads(line)))


def force_platform() -> None:
    """Choose the CPU: a CUDA build on a machine without a GPU has no platform at all."""
    cpu = importlib.import_module("vllm.platforms.cpu")
    vars(importlib.import_module("vllm.platforms"))["_current_platform"] = cpu.CpuPlatform()


def make_parser() -> argparse.ArgumentParser:
    """Build the parser of the API server, wherever this version keeps it."""
    for name in ("common", "launchers", "openai"):
        try:
            module = importlib.import_module(f"vllm.entrypoints.{name}.cli_args")
        except ModuleNotFoundError:
            continue
        if hasattr(module, "make_arg_parser"):
            break
    else:
        raise LookupError("no make_arg_parser")
    utils = importlib.import_module("vllm.utils.argparse_utils")
    parser: argparse.ArgumentParser = module.make_arg_parser(utils.FlexibleArgumentParser())
    return parser


def describe(action: argparse.Action) -> dict[str, Any]:
    """Name an option, and give a table that it surely takes: the defaults of its dataclass."""
    cls = _dataclass_of(action)
    sample = {}
    for field in dataclasses.fields(cls) if cls else ():
        if field.init and isinstance(field.default, (bool, int, str)):
            sample[field.name] = plain(field.default)
    return {
        "dest": action.dest,
        "dataclass": bool(cls),
        "sample": sample,
        "default": plain(action.default),
    }


def answer(parser: argparse.ArgumentParser, case: dict[str, Any]) -> dict[str, Any]:
    """Parse one list of tokens."""
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint), redirect_stdout(complaint):
            value = getattr(parser.parse_args(case["tokens"]), case["dest"])
    except SystemExit:
        return {"error": complaint.getvalue().strip().splitlines()[-1]}
    if dataclasses.is_dataclass(value) and case["fields"] is not None:
        return {"value": {name: plain(getattr(value, name)) for name in case["fields"]}}
    return {"value": plain(value)}


def plain(value: object) -> object:
    """Turn a value into what JSON can say of it."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: plain(thing) for name, thing in _set_fields(value)}
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)


def _set_fields(thing: Any) -> list[tuple[str, Any]]:
    pairs = ((field, getattr(thing, field.name)) for field in dataclasses.fields(thing))
    return [(field.name, value) for field, value in pairs if value != field.default]


def _dataclass_of(action: argparse.Action) -> Any:
    """Find the dataclass that a converter of vLLM's reads, in its closures and defaults."""
    convert: Any = action.type
    while getattr(convert, "__name__", "") in {"_optional_type", "_parse_type"}:
        names = convert.__code__.co_freevars
        convert = convert.__closure__[names.index("return_type")].cell_contents
    found = getattr(convert, "__defaults__", None) or ()
    return next((cls for cls in found if dataclasses.is_dataclass(cls)), None)


def _say(thing: object) -> None:
    print(json.dumps(thing), flush=True)


if __name__ == "__main__":
    main()
