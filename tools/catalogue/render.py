"""Render the three data files of the catalogue. Equal input gives equal bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tools.catalogue.ranges import join_ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

HEADER = """\
# {title}
# Generated: do not edit. `make catalogue` makes it (tools/catalogue); the format is described in
# launcher/server/catalogue/option.py. Taken from the argument parser of vLLM's own OpenAI API
# server and from its reads of the environment, in vLLM's Python sources in these wheels from PyPI:
{wheels}
# The parsers ran with vLLM's CPU platform and without any VLLM_* variable set. With a CUDA platform
# the defaults were the same in 0.24.0, 0.32.0 and 0.33.0; others were not compared.
# A default without a JSON form (an object of vLLM's) is left empty: unknown.
# Texts and names are vLLM's (Apache-2.0, https://github.com/vllm-project/vllm).
"""
WORDS = ("append", "optional", "secret", "deprecated", "suggested", "folded")


def render_options(found: Mapping[str, Any], wheels: Mapping[str, str]) -> str:
    """Render `options.tsv`: one line per option and range of versions, then the other spellings."""
    versions = list(found)
    lines = [_header("Options of vLLM's server", wheels) + "# versions: " + " ".join(versions)]
    for name in _names(found, "options"):
        said = {v: found[v]["options"][name] for v in versions if name in found[v]["options"]}
        facts = {version: render_row(name, option) for version, option in said.items()}
        parts = join_ranges(versions, facts)
        lines += ["\t".join((name, part.render(), *part.fact)) for part in parts]
    return "\n".join([*lines, *_aliases(found)]) + "\n"


def render_help(found: Mapping[str, Any], wheels: Mapping[str, str]) -> str:
    """Render `help.tsv`: the first paragraph of the help of each option."""
    versions = list(found)
    lines = [_header("What the options of vLLM's server mean", wheels).rstrip("\n")]
    for name in _names(found, "options"):
        said = {v: found[v]["options"][name] for v in versions if name in found[v]["options"]}
        facts = {version: option["help"] for version, option in said.items() if "help" in option}
        parts = join_ranges(versions, facts)
        lines += [f"{name}\t{part.render()}\t{part.fact}" for part in parts]
    return "\n".join(lines) + "\n"


def render_environment(found: Mapping[str, Any], wheels: Mapping[str, str]) -> str:
    """Render `environment.tsv`: the names of vLLM's environment variables."""
    versions = list(found)
    lines = [_header("Environment variables of vLLM", wheels).rstrip("\n")]
    for name in _names(found, "environment"):
        facts = {version: True for version in versions if name in found[version]["environment"]}
        lines += [f"{name}\t{part.render()}" for part in join_ranges(versions, facts)]
    return "\n".join(lines) + "\n"


def _header(title: str, wheels: Mapping[str, str]) -> str:
    return HEADER.format(title=title, wheels="\n".join(f"#   {wheels[v]}" for v in wheels))


def _names(found: Mapping[str, Any], part: str) -> list[str]:
    return sorted({name for said in found.values() for name in said[part]})


def render_row(name: str, option: Mapping[str, Any]) -> tuple[str, ...]:
    """Render what one version says of an option: the fields after name and range."""
    return (
        option["kind"],
        " ".join(_marks(name, option)),
        ",".join(_spellings(name, option)),
        "|".join(_checked(str(choice)) for choice in option.get("choices", ())),
        _json(option["default"]) if "default" in option else "",
        option.get("group", ""),
    )


def _marks(name: str, option: Mapping[str, Any]) -> Iterable[str]:
    if option.get("nargs"):
        yield "nargs:" + option["nargs"]
    if option.get("json"):
        yield "json:" + option["json"]
    for negative in option.get("negatives", ()):
        yield _twin_mark(name, negative)
    yield from (word for word in WORDS if option.get(word))


def _twin_mark(name: str, negative: str) -> str:
    """Name the rule that makes the negative flag of `name`; there are only these two."""
    if negative == f"--no-{_dashed(name)}":
        return "twin"
    if negative == "--" + _dashed(swap_prefix(name)):
        return "swap"
    raise ValueError(f"{negative!r} is a new kind of negative flag of {name!r}")


def swap_prefix(name: str) -> str:
    """Turn `enable_x` into `disable_x` and back; since 0.33 vLLM takes both."""
    prefix, _, rest = name.partition("_")
    return {"enable": "disable_", "disable": "enable_"}.get(prefix, "") + rest


def _spellings(name: str, option: Mapping[str, Any]) -> list[str]:
    return [flag for flag in option["flags"] if flag != f"--{_dashed(name)}"]


def _aliases(found: Mapping[str, Any]) -> list[str]:
    """Render `=other_spelling <tab> range <tab> name` for every second long flag."""
    versions = list(found)
    places: dict[str, dict[str, str]] = {}
    for version, said in found.items():
        for name, option in said["options"].items():
            for flag in _spellings(name, option):
                if flag.startswith("--"):
                    places.setdefault(_key(flag), {})[version] = name
    return [
        f"={alias}\t{part.render()}\t{part.fact}"
        for alias in sorted(places)
        for part in join_ranges(versions, places[alias])
    ]


def _key(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _checked(choice: str) -> str:
    if set(choice) & set("|\t\n"):
        raise ValueError(f"choice {choice!r} breaks the format")
    return choice


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
