"""`vllmd kvbm`: show, check and hand over a KVBM configuration."""

from __future__ import annotations

import shlex
import sys

from launcher.cli.kvbm_arguments import OPTION, new_kvbm_parser
from launcher.cli.sources import load_documents, require_config
from launcher.cli.transfers import plan_instance
from launcher.config.document import parse_assignment
from launcher.config.problems import dotted, errors_of
from launcher.config.reader import Refusal
from launcher.config.report import Locator
from launcher.config.suggest import render_hint
from launcher.errors import EX_CONFIG, EX_OK, ConfigError, UsageError
from launcher.kvbm.environment import CONFIG_PATH
from launcher.kvbm.layers import ROLES
from launcher.kvbm.loading import count_cpus, gather_facts, read_file, read_overrides
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
from launcher.server.read import read_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from launcher.config.document import Document
    from launcher.config.problems import Path, Problem, TomlValue
    from launcher.config.reader import Key
    from launcher.kvbm.resolve import KvbmFacts, Layers, RoleConfig


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Run one of the verbs and return its exit code.

    Raises:
        UsageError: wrong command line.
        ConfigError: the configuration is wrong.
    """
    arguments = new_kvbm_parser().parse_args(argv)
    if getattr(arguments, "instance", None):
        return _of_instance(arguments, environ)
    if getattr(arguments, "launcher_file", None):
        raise UsageError("--launcher-file needs --instance", "name the instance")
    facts = _facts(arguments, environ)
    strict = bool(getattr(arguments, "strict", False))
    layers = collect_layers(facts, _overrides(arguments), strict=strict)
    if arguments.verb == "check":
        return _check(facts, layers, strict=strict)
    if arguments.verb == "flag":
        _finish(resolve(layers, facts.cpu_count).problems, layers)
        return _flag(render_transfer(_settings(arguments), render_sections(layers)), arguments)
    return _show(facts.cpu_count, layers, arguments)


def _of_instance(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Show what an instance of the launcher's file is told.

    Raises:
        UsageError: there is no such instance, it does not use KVBM, or options that do not go
            together.
    """
    if arguments.config or arguments.json or (arguments.verb == "flag" and _settings(arguments)):
        raise UsageError("--instance takes all from the launcher's file", "use --set to change it")
    documents = load_documents(
        require_config(arguments.launcher_file, environ), tuple(arguments.assignments), environ
    )
    settings = read_config(documents)
    named = {instance.name: instance for instance in settings.instances}
    instance = named.get(arguments.instance)
    if instance is None:
        message = f"there is no instance '{arguments.instance}'"
        raise UsageError(message, render_hint(arguments.instance, named))
    cpu_count = arguments.cpus or count_cpus()
    plan = plan_instance(instance, settings, environ)
    if plan.resolution is None:
        hint = "write enable = true in [kvbm]"
        raise UsageError(f"'{instance.name}' does not use KVBM", hint)
    found = plan.resolution.layers
    layers = replace(found, documents=(*documents, *found.documents), problems=plan.problems)
    if arguments.verb == "show":
        return _show(cpu_count, layers, arguments)
    _finish(plan.problems, layers)
    return _flag(plan.value or {}, arguments)


def _facts(arguments: argparse.Namespace, environ: Mapping[str, str]) -> KvbmFacts:
    if not arguments.config:
        return gather_facts(environ, cpu_count=arguments.cpus)
    others = {name: value for name, value in environ.items() if name.upper() != CONFIG_PATH}
    facts = gather_facts(others, cpu_count=arguments.cpus)
    return replace(facts, files=(*facts.files, read_file(arguments.config)))


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


def _show(cpu_count: int, layers: Layers, arguments: argparse.Namespace) -> int:
    shown: tuple[RoleConfig, ...]
    if arguments.role:
        shown = (resolve_role(layers, arguments.role, cpu_count),)
        _finish((*layers.problems, *shown[0].problems), layers)
    else:
        resolution = resolve(layers, cpu_count)
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
        text = _toml_part(each, locator, cpu_count, prefix, origins=arguments.origins)
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


def _flag(value: dict[str, TomlValue], arguments: argparse.Namespace) -> int:
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
