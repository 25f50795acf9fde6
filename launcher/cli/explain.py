"""`vllmd explain KEY`: what a key means."""

from __future__ import annotations

import json
import sys
import textwrap

from launcher.cli.arguments import parse_explain
from launcher.cli.guest_table import LAUNCHER_GUEST_KEYS
from launcher.config.reader import Key
from launcher.config.suggest import find_nearest, render_hint
from launcher.errors import EX_OK, UsageError
from launcher.facts import find_default_version
from launcher.server.catalogue.advice import explain_unknown
from launcher.server.catalogue.data import load_catalogue, load_environment, load_help
from launcher.server.catalogue.successors import SUCCESSORS
from launcher.server.catalogue.texts import environment_history, environment_names, find_help
from launcher.server.catalogue.values import expected_of
from launcher.server.cluster import CLUSTER_KEYS
from launcher.server.keys import CLIENT_KEYS, CONTROL_KEYS, MASTER_KEYS
from launcher.server.presets import PRESETS
from launcher.server.read import EXTRA_ARGS
from launcher.server.secret_values import SECRET_OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.server.catalogue.lines import Span
    from launcher.server.catalogue.lookup import Catalogue
    from launcher.server.catalogue.option import Option

WIDTH = 88
EXTRA_ARGS_KEY = Key(
    name=EXTRA_ARGS,
    check=str,
    expected="a list of strings",
    default=[],
    doc="Words that are appended to the command line as they are; those of `[instance.server]` "
    "come first.",
)
TABLES = {
    "[master]": MASTER_KEYS,
    "[instance.NAME.control]": CONTROL_KEYS,
    "[instance.NAME.cluster]": CLUSTER_KEYS,
    "[client]": CLIENT_KEYS,
    "[guest]": LAUNCHER_GUEST_KEYS,
    "[instance.NAME.server]": (EXTRA_ARGS_KEY,),
}


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Explain a key of the launcher's, or an option of vLLM's.

    Raises:
        UsageError: nobody knows the key.
    """
    arguments = parse_explain(argv)
    name = arguments.key.lstrip("-").rpartition(".")[2].replace("-", "_")
    parts = [
        render_key(key, table) for table, keys in TABLES.items() for key in keys if key.name == name
    ]
    version = arguments.vllm_version or find_default_version(environ, sys.executable)
    catalogue = load_catalogue(version)
    if name.isupper() and name.startswith("VLLM_"):
        parts.append(render_variable(name, catalogue))
    option = catalogue.find(name)
    if option is not None:
        parts.append(render_option(option, catalogue))
    elif not parts:
        message, hint = explain_unknown(catalogue, name)
        if not catalogue.history(name):
            raise UsageError(message, _nearest_hint(name, catalogue) or hint)
        parts.append(f"{message}\nhint: {hint}\n{_lifetime(name, catalogue)}")
    print("\n\n".join(parts))
    return EX_OK


def _nearest_hint(name: str, catalogue: Catalogue) -> str:
    """Return the nearest of all keys, the launcher's own too, as a hint; empty if none is like it.

    What became of an option that is gone is not asked here.
    """
    if name in SUCCESSORS:
        return ""
    own = {key.name for keys in TABLES.values() for key in keys}
    nearest = find_nearest(name, {*own, *catalogue.names()})
    return f"did you mean '{nearest}'?" if nearest else ""


def render_key(key: Key, table: str) -> str:
    """Render what a key of the launcher's own means."""
    default = key.default_words or json.dumps(key.default)
    lines = [f"{key.name}: {key.expected}; default {default}", f"  in {table}"]
    lines += textwrap.wrap(key.doc, WIDTH, initial_indent="  ", subsequent_indent="  ")
    if key.name == "preset":
        for name, options in PRESETS.items():
            shown = ", ".join(f"{option} = {value}" for option, value in options.items())
            lines.append(f"  {name}: {shown}")
    return "\n".join(lines)


def render_variable(name: str, catalogue: Catalogue) -> str:
    """Render in which versions vLLM reads an environment variable.

    Raises:
        UsageError: in none that we know.
    """
    known = load_environment()
    spans = environment_history(known, catalogue, name)
    if not spans:
        hint = render_hint(name, environment_names(known, catalogue))
        raise UsageError(f"no version of vLLM that we know reads the variable '{name}'", hint)
    return (
        f"{name}: an environment variable of vLLM's\n"
        f"  in [instance.NAME.env], or for all instances in [master.env]\n"
        f"  {_render_spans(spans, catalogue)}"
    )


def render_option(option: Option, catalogue: Catalogue) -> str:
    """Render what an option of vLLM's means in one version."""
    many = ", or an array of them" if option.several or option.append else ""
    lines = [f"{option.name}: {expected_of(option)}{many}; {_default(option)}"]
    variable = SECRET_OPTIONS.get(option.target)
    way = f"reaches vLLM as {variable}" if variable else f"becomes {option.flag}"
    lines.append(f"  in [instance.NAME.server]; {way}{_negative(option)}")
    if option.choices:
        word = "suggested" if option.suggested else "one of"
        shown = f"{word}: {', '.join(str(choice) for choice in option.choices)}"
        lines += textwrap.wrap(shown, WIDTH, initial_indent="  ", subsequent_indent="    ")
    text = find_help(load_help(), catalogue, option.target)
    lines += textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")
    if option.secret:
        lines.append('  a secret: write "env:NAME" or "file:/path"')
    if option.deprecated:
        lines.append("  deprecated")
    lines.append(f"  {_lifetime(option.target, catalogue)}; group '{option.group}'")
    return "\n".join(lines)


def _default(option: Option) -> str:
    if not option.default_known:
        return "default found at start"
    if option.default is None:
        return "no default"
    return f"default {json.dumps(option.default)}"


def _negative(option: Option) -> str:
    return f", false becomes {option.negative}" if option.negative else ""


def _lifetime(name: str, catalogue: Catalogue) -> str:
    return _render_spans(catalogue.history(name), catalogue)


def _render_spans(spans: tuple[Span, ...], catalogue: Catalogue) -> str:
    shown = ", ".join(f"{first} to {last}" if last else f"since {first}" for first, last in spans)
    known = f"known: {catalogue.versions[0]} to {catalogue.versions[-1]}"
    return f"vLLM {shown} ({known}; here {catalogue.version})"
