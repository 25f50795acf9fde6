"""From an action of vLLM's argument parser to the facts that the catalogue keeps.

The converter of an option (`type=`) is a function, often a closure around another one. What it
takes is found by unwrapping the closures of vLLM's own helpers (`optional_type`, `parse_type`) and,
for the few lambdas, by asking them.

Kinds:
    flag            no value (`--x`, often with a twin `--no-x`)
    string          any text
    csv             one text, elements separated by commas
    integer, number
    size            integer; also with a suffix: "1k" is 1000, "1K" is 1024, "25.6k" is 25600
    size_or_auto    a size, or -1, or "auto"
    json            a JSON text
    json_or_string  a JSON object, or any other text
    flag_or_string  `--x` alone is true; `--x TEXT` is that text
    truthy          a text: the empty one is false, every other one (even "false") is true
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WRAPPERS = ("_optional_type", "_parse_type")
SIMPLE_KINDS = {
    None: "string",
    str: "string",
    int: "integer",
    float: "number",
    bool: "truthy",
    json.loads: "json",
}
NAMED_KINDS = {
    "human_readable_int": "size",
    "human_readable_int_or_auto": "size_or_auto",
    "union_dict_and_str": "json_or_string",
    "parse_dataclass": "json",
    "parse_reasoning_parser": "string",
    "<lambda>": "",  # asked, see `_kind_of_lambda`
}

# The last word of the name says it. Paths to key files (`ssl_keyfile`) are no secrets; the model's
# settings about tokens of text (`max_num_batched_tokens`) do not end in these words.
SECRET_WORDS = frozenset({"key", "token", "password", "secret"})


# `--mm-processor-device` offers the platform's own device (since 0.28, engine/arg_utils.py): the
# one thing that a parser makes of the platform. Here are those of vllm/platforms beside "cpu";
# platforms that are plug-ins have others, so these are suggestions.
PLATFORM_CHOICES = {"mm_processor_device": ["cuda", "xpu"]}


def describe_action(
    action: argparse.Action,
    flags: list[str],
    group: str,
    *,
    deprecated: bool,
) -> dict[str, Any]:
    """Describe one option as plain data. Empty and false facts are left out.

    `flags` are all that the parser takes for it: since 0.33 an action hides some of its own.
    """
    convert, optional = _unwrap(action.type)
    kind = _kind(action, convert)
    default, known = _default(action)
    choices, marks = _choices(action)
    negatives = [flag for flag in flags if _is_negative(action, flag)]
    facts: dict[str, Any] = {
        "kind": kind,
        "flags": [flag for flag in flags if flag not in negatives],
        "negatives": negatives,
        "nargs": "" if action.nargs in (None, 0) else str(action.nargs),
        "append": isinstance(action, argparse._AppendAction),  # noqa: SLF001
        # Up to 0.30 vLLM put the text "None" among the choices, where no value ever equals it: the
        # converter has made None of it by then.
        "optional": optional and "None" not in (action.choices or ()),
        "choices": choices,
        "json": _json_shape(action, kind, convert),
        "secret": action.dest.rsplit("_", 1)[-1] in SECRET_WORDS,
        "deprecated": deprecated or _says_deprecated(action.help or ""),
        "group": group,
        "help": first_paragraph(action.help or ""),
        **marks,
    }
    if _folds_case(convert):
        facts["folded"] = True
    kept = {key: value for key, value in facts.items() if value}
    return {**kept, "default": default} if known else kept


def first_paragraph(text: str) -> str:
    """Return the first paragraph of a help text as one line, without argparse's escapes."""
    paragraph = re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0]
    line = " ".join(paragraph.replace("%%", "%").split())
    return "" if line.startswith(("API docs:", "Should either be a valid JSON")) else line


def _is_negative(action: argparse.Action, flag: str) -> bool:
    """Tell whether a flag of a boolean option sets it to false, by using it."""
    if not isinstance(action, argparse.BooleanOptionalAction):
        return False
    space = argparse.Namespace()
    action(argparse.ArgumentParser(), space, [], flag)
    return getattr(space, action.dest) is False


def _unwrap(convert: Any) -> tuple[Any, bool]:  # noqa: ANN401  # argparse takes any callable
    optional = False
    while getattr(convert, "__name__", "") in WRAPPERS:
        optional = optional or convert.__name__ == "_optional_type"
        names = convert.__code__.co_freevars
        convert = convert.__closure__[names.index("return_type")].cell_contents
    return convert, optional


def _kind(action: argparse.Action, convert: Any) -> str:  # noqa: ANN401
    if action.nargs == 0:
        return "flag"
    if action.nargs == "?" and action.const is True:
        return "flag_or_string"
    if type(action).__name__ == "LoRAParserAction":  # `name=path`, or a JSON object
        return "json_or_string"
    if convert in SIMPLE_KINDS:
        return SIMPLE_KINDS[convert]
    name = convert.__name__
    if name not in NAMED_KINDS:
        raise TypeError(f"--{action.dest}: new converter {convert!r}, teach NAMED_KINDS about it")
    return NAMED_KINDS[name] or _kind_of_lambda(convert)


def _kind_of_lambda(convert: Callable[[str], object]) -> str:
    answer = convert("a,b")
    if answer == ["a", "b"]:
        return "csv"
    if answer == "a,b":
        return "string"
    raise TypeError(f"a lambda makes {answer!r} of 'a,b', teach `_kind_of_lambda` about it")


def _folds_case(convert: Any) -> bool:  # noqa: ANN401
    """Tell whether a value is compared to the choices in lower case and with underscores."""
    is_lambda = getattr(convert, "__name__", "") == "<lambda>"
    return is_lambda and convert("A-b") == "a_b"


def _choices(action: argparse.Action) -> tuple[list[Any], dict[str, bool]]:
    """Return the choices; those of an option that also takes other texts are only suggestions."""
    if action.choices is not None:
        choices = [_plain(choice) for choice in action.choices if choice not in (None, "None")]
        others = PLATFORM_CHOICES.get(action.dest, [])
        return choices + others, {"suggested": True} if others else {}
    metavar: Any = action.metavar  # vLLM gives a list, though argparse knows none here
    if isinstance(metavar, list):
        return list(metavar), {"suggested": True}
    return [], {}


def _default(action: argparse.Action) -> tuple[Any, bool]:
    """Return the default, and whether it can be said in JSON at all."""
    value = action.default
    if value == argparse.SUPPRESS:
        return None, False
    plain = _plain(value)
    try:
        json.dumps(plain)
    except TypeError:
        return None, False
    return plain, True


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, tuple):
        return list(value)
    return value


def _json_shape(action: argparse.Action, kind: str, convert: Any) -> str:  # noqa: ANN401
    """Name the JSON type that an option wants, as far as the parser knows it."""
    if kind not in {"json", "json_or_string"}:
        return ""
    if isinstance(action.default, list):
        return "array"
    if kind == "json" and convert is not json.loads and not _is_object(convert):
        return "any"
    return "object"


def _is_object(convert: Any) -> bool:  # noqa: ANN401
    """Tell whether `parse_dataclass` reads a dataclass, the only JSON converter besides loads."""
    return any(dataclasses.is_dataclass(cls) for cls in convert.__defaults__ or ())


def _says_deprecated(text: str) -> bool:
    """Tell whether the help of an option calls the option itself deprecated."""
    start = " ".join(text.lower().split())
    if start.startswith(("deprecated", "[deprecated", "(deprecated", "**deprecated")):
        return True
    subject = r"(^`*--[\w-]+`*|\bthis (argument|option|flag|field|parameter))"
    return re.search(subject + " is deprecated", start) is not None
