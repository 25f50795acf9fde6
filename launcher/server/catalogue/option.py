"""One option of vLLM's server, and the line of `data/options.tsv` that it is read from.

A line holds for a range of versions, fields separated by tabs:

    name      as a TOML key: `tensor_parallel_size`
    range     `0.11.0-0.17.1`, first and last version; no last one: up to the newest
    kind      see `Option.kind`
    marks     words: `nargs:+`, `json:object`, `twin` (`--no-x` sets it to false), `swap` (since
              0.33 `--disable-x` does so for `--enable-x`, and the other way round), append,
              optional, secret, deprecated, suggested, folded
    flags     spellings beside `--tensor-parallel-size`, with commas: `-tp`
    choices   with bars
    default   as JSON; empty: unknown
    group     vLLM's name for the group in its help

After the options come other long spellings: `=device_memory_utilization`, range, name.
"""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Json: TypeAlias = str | int | float | bool | list["Json"] | dict[str, "Json"] | None
    Choice: TypeAlias = str | int | float

CONVERTERS: dict[str, type[str | int | float]] = {"integer": int, "number": float}
WORDS = ("twin", "swap", "append", "optional", "secret", "deprecated", "suggested", "folded")


@record
class Option:
    """What vLLM's parser says of one option, in one version.

    `kind` is one of
        flag            no value; `negative` is the flag that sets it to false, or empty
        string          any text
        csv             one text, elements separated by commas
        integer, number
        size            an integer; also with a suffix: "1k" is 1000, "1K" is 1024
        size_or_auto    a size, or -1, or "auto"
        json            a JSON text; `json` says of which type: object, array or any
        json_or_string  a JSON object, or any other text
        flag_or_string  `--x` alone is true; `--x TEXT` is that text
        truthy          a text: the empty one is false, every other one (even "false") is true
    """

    name: str  # as looked up, a key of the TOML file
    target: str  # the option meant, where `name` is another spelling or the inverse of it
    kind: str
    flag: str  # `--tensor-parallel-size`
    flags: tuple[str, ...] = ()  # all spellings of it: `--tensor-parallel-size`, `-tp`
    negative: str = ""  # the flag that sets it to false: `--no-x`, or `--disable-x` of `--enable-x`
    twin: bool = False  # `--no-x` is taken
    swap: bool = False  # `--disable-x` is taken for `--enable-x`, and the other way round
    nargs: str = ""  # argparse's: "", "+", "*", "?" or a number
    append: bool = False  # repeated flags add up (elsewhere the last one wins)
    choices: tuple[Choice, ...] = ()
    suggested: bool = False  # the choices are suggestions: other texts are taken too
    folded: bool = False  # choices are compared in lower case, with "_" for "-"
    default: Json = None
    default_known: bool = False
    json: str = ""
    optional: bool = False  # "None" and the empty text stand for "not set"
    secret: bool = False
    deprecated: bool = False
    group: str = ""
    since: str = ""  # first version of the catalogue that has it, without a gap up to now
    until: str = ""  # last version that has it; empty: the newest does

    @property
    def several(self) -> bool:
        """Whether several values may follow one flag."""
        return self.nargs in {"+", "*"} or self.nargs.isdigit()


def parse_option(line: str, lifetime: tuple[str, str]) -> Option:
    """Read one line. `lifetime` is first and last version of all lines of this option together."""
    name, _, kind, marks, flags, choices, default, group = line.split("\t")
    words = marks.split(" ")
    valued = dict(word.split(":", 1) for word in words if ":" in word)
    convert = CONVERTERS.get(kind, str)
    flag = flag_of(name)
    return Option(
        name=name,
        target=name,
        kind=kind,
        flag=flag,
        flags=(flag, *flags.split(",")) if flags else (flag,),
        negative=_negative(name, words),
        nargs=valued.get("nargs", ""),
        choices=tuple(convert(choice) for choice in choices.split("|")) if choices else (),
        default=parse_json(default) if default else None,
        default_known=bool(default),
        json=valued.get("json", ""),
        group=group,
        since=lifetime[0],
        until=lifetime[1],
        **{word: word in words for word in WORDS},
    )


def invert(option: Option, name: str) -> Option:
    """Return the view of a flag through its negative: `no_x = true` is `x = false`."""
    known = option.default_known and isinstance(option.default, bool)
    return Option(
        name=name,
        target=option.target,
        kind=option.kind,
        flag=flag_of(name),
        flags=(flag_of(name),),
        negative=option.flag,
        default=not option.default if known else None,
        default_known=option.default_known,
        deprecated=option.deprecated,
        group=option.group,
        since=option.since,
        until=option.until,
    )


def flag_of(name: str) -> str:
    """Return the flag that a TOML key stands for."""
    return "--" + name.replace("_", "-")


def swap_prefix(name: str) -> str:
    """Turn `enable_x` into `disable_x` and back; an empty text where it is neither."""
    prefix, _, rest = name.partition("_")
    swapped = {"enable": "disable_", "disable": "enable_"}.get(prefix, "")
    return swapped + rest if swapped else ""


def parse_json(text: str) -> Json:
    """Parse a default: common ones without JSON's machinery."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if text[0] == '"' and "\\" not in text:
        return text[1:-1]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    import json  # noqa: PLC0415  (an eighth of an interpreter start, and few defaults are lists)

    parsed: Json = json.loads(text)
    return parsed


CONSTANTS: dict[str, Json] = {"null": None, "true": True, "false": False}


def _negative(name: str, words: list[str]) -> str:
    if "twin" in words:
        return "--no-" + name.replace("_", "-")
    return flag_of(swap_prefix(name)) if "swap" in words else ""
