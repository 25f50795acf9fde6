"""`vllmd kvbm`: show, check and hand over a KVBM configuration."""

from __future__ import annotations

import argparse
import shlex
import sys

from launcher.cli.arguments import Parser, new_parser
from launcher.config.document import parse_assignment
from launcher.config.problems import dotted, errors_of
from launcher.config.reader import Refusal
from launcher.config.report import Locator
from launcher.errors import EX_CONFIG, EX_OK, ConfigError, UsageError
from launcher.kvbm.environment import CONFIG_PATH
from launcher.kvbm.layers import ROLES
from launcher.kvbm.load import JSON_NAME, gather_facts, read_file, read_overrides
from launcher.kvbm.render import (
    TomlWriter,
    as_data,
    effective_values,
    find_origins,
    masked,
    render_flag_value,
    render_json,
)
from launcher.kvbm.resolve import collect_layers, resolve, resolve_role
from launcher.kvbm.transfer import TRANSFER_KEYS, render_sections, render_transfer
from launcher.output import print_problems
from launcher.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.document import Document
    from launcher.config.problems import Path, Problem, TomlValue
    from launcher.config.reader import Key
    from launcher.kvbm.resolve import KvbmFacts, Layers, RoleConfig

OPTION = "--kv-transfer-config"
DESCRIPTION = """\
The configuration of KVBM, vLLM's KV block manager connector.

It is merged from, lowest first: defaults; /opt/dynamo/etc/kvbm.toml; the file
named by KVBM_CONFIG_PATH; the KVBM_* variables; JSON (--json); --set. Tables
merge key by key, everything else is replaced. The sections 'default', 'leader'
and 'worker' hold what differs between the roles.
"""
EXAMPLES = """\
examples:
  vllmd kvbm show --role leader --origins
  vllmd kvbm check --config kvbm.toml --strict
  vllmd kvbm show --json '{"leader": {"cache": {"host": {"cache_size_gb": 4.0}}}}'
  vllmd kvbm flag --set leader.cache.host.cache_size_gb=4.0
"""


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Run one of the verbs and return its exit code.

    Raises:
        UsageError: wrong command line.
        ConfigError: the configuration is wrong.
    """
    arguments = _parser().parse_args(argv)
    facts = _facts(arguments, environ)
    strict = bool(getattr(arguments, "strict", False))
    layers = collect_layers(facts, _overrides(arguments), strict=strict)
    if arguments.verb == "check":
        return _check(facts, layers, strict=strict)
    if arguments.verb == "flag":
        return _flag(facts, layers, arguments)
    return _show(facts, layers, arguments)


def _facts(arguments: argparse.Namespace, environ: Mapping[str, str]) -> KvbmFacts:
    if not arguments.config:
        return gather_facts(environ, cpu_count=arguments.cpus)
    others = {name: value for name, value in environ.items() if name.upper() != CONFIG_PATH}
    facts = gather_facts(others, cpu_count=arguments.cpus)
    return replace(facts, files=(*facts.files, read_file(arguments.config)))


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("kvbm", DESCRIPTION, EXAMPLES)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    show = _add_verb(verbs, "show", "print what KVBM is told, every default filled in")
    show.add_argument("--role", choices=ROLES, help="one role only (default: both, in sections)")
    show.add_argument("--format", choices=("toml", "json"), default="toml", help="default: toml")
    show.add_argument("--origins", action="store_true", help="say where each value comes from")
    check = _add_verb(verbs, "check", "report every problem of both roles; 0 or 78")
    check.add_argument(
        "--strict", action="store_true", help="unknown keys and KVBM_* names are errors"
    )
    flag = _add_verb(verbs, "flag", f"print vLLM's {OPTION}, quoted for pasting")
    flag.add_argument(
        "--format",
        choices=("flag", "value", "json"),
        default="flag",
        help="the option and its value, the quoted value alone, or JSON as it is (default: flag)",
    )
    flag.add_argument("--reveal", action="store_true", help="show secrets in URLs")
    for key in TRANSFER_KEYS:
        default = key.default_words or f"default: {key.default}"
        flag.add_argument(
            f"--{key.name.replace('_', '-')}", metavar="VALUE", help=f"{key.doc} ({default})"
        )
    return parser


def _add_verb(
    verbs: argparse._SubParsersAction[Parser], name: str, text: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=text,
        description=f"{text[:1].upper()}{text[1:]}.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help=f"TOML file, in place of {CONFIG_PATH}")
    parser.add_argument(
        "--json", metavar="TEXT|@FILE", help=f"a JSON object over it, as in vLLM's {JSON_NAME}"
    )
    parser.add_argument(
        "--set",
        metavar="PATH=VALUE",
        dest="assignments",
        action="append",
        default=[],
        help="one value over everything else, like tokio.worker_threads=2; may be repeated",
    )
    parser.add_argument(
        "--cpus", metavar="N", type=_cpu_count, help="CPUs to check for (default: this machine's)"
    )
    return parser


def _cpu_count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:9]) == int(text):
        raise argparse.ArgumentTypeError(f"expected a number of CPUs, got '{text}'")
    return int(text)


def _overrides(arguments: argparse.Namespace) -> tuple[Document, ...]:
    documents = [parse_assignment(text) for text in arguments.assignments]
    if arguments.json is not None:
        text, name = _json_text(arguments.json)
        documents.insert(0, read_overrides(text, name))
    return tuple(documents)


def _json_text(argument: str) -> tuple[str, str]:
    if not argument.startswith("@"):
        return argument, "--json"
    path = argument[1:]
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(), path
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"--json: '{path}' cannot be read: {reason}", "name a JSON file") from None


def _finish(problems: tuple[Problem, ...], layers: Layers) -> None:
    """Print warnings; stop at errors.

    Raises:
        ConfigError: there are errors.
    """
    problems = tuple(dict.fromkeys(problems))
    if errors_of(problems):
        raise ConfigError(problems, layers.documents)
    print_problems(problems, layers.documents)


def _check(facts: KvbmFacts, layers: Layers, *, strict: bool) -> int:
    resolution = resolve(layers, facts.cpu_count, strict=strict)
    print_problems(resolution.problems, layers.documents, sys.stdout)
    if errors_of(resolution.problems):
        return EX_CONFIG
    print("ok: leader and worker")
    return EX_OK


def _show(facts: KvbmFacts, layers: Layers, arguments: argparse.Namespace) -> int:
    shown: tuple[RoleConfig, ...]
    if arguments.role:
        shown = (resolve_role(layers, arguments.role, facts.cpu_count),)
        _finish((*layers.problems, *shown[0].problems), layers)
    else:
        resolution = resolve(layers, facts.cpu_count)
        _finish(resolution.problems, layers)
        shown = (resolution.leader, resolution.worker)
    locator = Locator(layers.documents)
    if arguments.format == "json":
        parts = [_json_part(each, locator, origins=arguments.origins) for each in shown]
        if arguments.role:
            print(render_json(parts[0]))
        else:
            print(render_json(dict(zip(ROLES, parts, strict=True))))
        return EX_OK
    for each in shown:
        prefix = () if arguments.role else (str(each.role),)
        text = _toml_part(each, locator, facts.cpu_count, prefix, origins=arguments.origins)
        print(text, end="" if each is shown[-1] else "\n")
    return EX_OK


def _json_part(each: RoleConfig, locator: Locator, *, origins: bool) -> dict[str, TomlValue]:
    data = as_data(each.config)
    if not origins:
        return data
    found = find_origins(data, each.stack, locator)
    return {"config": data, "origins": {dotted(path): place for path, place in found.items()}}


def _toml_part(
    each: RoleConfig, locator: Locator, cpu_count: int, prefix: Path, *, origins: bool
) -> str:
    data = as_data(each.config)
    found = find_origins(data, each.stack, locator) if origins else {}
    writer = TomlWriter(lambda path: _note(found, path), effective_values(each.config, cpu_count))
    return writer.write(data, prefix)


def _note(found: Mapping[Path, str], path: Path) -> str:
    if path in found:
        return found[path]
    # A NIXL backend is one line: its parameters may come from several places.
    below = dict.fromkeys(place for other, place in found.items() if other[: len(path)] == path)
    return ", ".join(below)


def _flag(facts: KvbmFacts, layers: Layers, arguments: argparse.Namespace) -> int:
    _finish(resolve(layers, facts.cpu_count).problems, layers)
    value = render_transfer(_settings(arguments), render_sections(layers))
    hidden = {key: masked(inner) for key, inner in value.items()}
    if hidden != value and not arguments.reveal:
        print("warning: secrets in URLs are masked: the flag works with --reveal", file=sys.stderr)
    text = render_flag_value(value if arguments.reveal else hidden)
    if arguments.format == "json":
        print(text)
    elif arguments.format == "value":
        print(shlex.quote(text))
    else:
        print(f"{OPTION} {shlex.quote(text)}")
    return EX_OK


def _settings(arguments: argparse.Namespace) -> dict[str, object]:
    written = {key: getattr(arguments, key.name) for key in TRANSFER_KEYS}
    return {key.name: _checked(key, text) for key, text in written.items() if text is not None}


def _checked(key: Key, written: str) -> object:
    # Numbers and true or false are written as in TOML; text stands as it is, 12 too.
    value = parse_assignment(f"{key.name}={written}").data[key.name]
    try:
        return key.check(value if isinstance(value, bool) or key.name == "kv_port" else written)
    except Refusal as refusal:
        option = f"--{key.name.replace('_', '-')}"
        raise UsageError(f"{option}: {refusal.message}", refusal.hint) from None
