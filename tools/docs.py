#!/usr/bin/env python3
"""Write what is generated from the model: tables of docs/, and the schema beside the examples.

python tools/docs.py          rewrite it all in place; a test fails where it has drifted
python tools/docs.py --check  exit 1, naming the files, where one is out of date
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from launcher.cli.guest_table import LAUNCHER_GUEST_KEYS, render_guest_schema  # noqa: E402
from launcher.cli.variables import VARIABLES  # noqa: E402
from launcher.hypervisor.host.keys import TABLES as HOST_TABLES  # noqa: E402
from launcher.hypervisor.host.schema import render_host_schema  # noqa: E402
from launcher.hypervisor.variables import GUEST_VARIABLES, HOST_VARIABLES  # noqa: E402
from launcher.kvbm.samples import BLOCKS, SAMPLES  # noqa: E402
from launcher.process.diagnosis import RULES  # noqa: E402
from launcher.server.catalogue.advice import explain_unknown  # noqa: E402
from launcher.server.catalogue.data import load_catalogue, load_help  # noqa: E402
from launcher.server.catalogue.successors import SUCCESSORS  # noqa: E402
from launcher.server.cluster import CLUSTER_KEYS  # noqa: E402
from launcher.server.keys import CLIENT_KEYS, CONTROL_KEYS, MASTER_KEYS  # noqa: E402
from launcher.server.presets import PRESETS  # noqa: E402
from launcher.server.schema import render_file_schema  # noqa: E402

if TYPE_CHECKING:
    from launcher.config.reader import Key
    from launcher.hypervisor.variables import Variable

PAGE = ROOT / "docs" / "configuration.md"
OPTIONS = ROOT / "docs" / "options.md"
KVBM = ROOT / "docs" / "kvbm.md"
HYPERVISOR = ROOT / "docs" / "hypervisor.md"
TROUBLE = ROOT / "docs" / "troubleshooting.md"
IMAGE = ROOT / "dockers" / "infer-dev" / "README.md"
SCHEMA = ROOT / "model-configs" / "vllmd.schema.json"
HOST_SCHEMA = ROOT / "host-configs" / "vllmd-hypervisor.schema.json"


# What the kinds of variables take, in words.
KINDS = {
    "path": "a path; `~` and `$NAME` are expanded",
    "text": "text",
    "integer": "a whole number",
    "seconds": "seconds",
    "boolean": "`true` or `false`",
    "presence": "anything",
    "list": "a list, with commas",
}


def render_keys(keys: tuple[Key, ...]) -> str:
    """Render the keys of a table as Markdown."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key in keys:
        default = key.default_words or _toml(key.default)
        rows.append(f"| `{key.name}` | {key.expected} | {default} | {key.doc} |")
    return "\n".join(rows)


def replace_block(text: str, name: str, block: str) -> str:
    """Replace what stands between the two marks of a generated block.

    Raises:
        ValueError: the text lacks the marks.
    """
    begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the marks of '{name}' are missing")
    return f"{before}{begin}\n{block}\n{end}{after}"


def render_page(text: str) -> str:
    """Return the page with its generated tables up to date."""
    text = replace_block(text, "master", render_keys(MASTER_KEYS))
    text = replace_block(text, "presets", render_presets())
    text = replace_block(text, "client", render_keys(CLIENT_KEYS))
    text = replace_block(text, "guest", render_keys(LAUNCHER_GUEST_KEYS))
    text = replace_block(text, "cluster", render_keys(CLUSTER_KEYS))
    return replace_block(text, "control", render_keys(CONTROL_KEYS))


def render_presets() -> str:
    """Render what each preset sets as Markdown."""
    rows = ["| preset | sets |", "|---|---|"]
    for name, options in PRESETS.items():
        shown = ", ".join(f"`{key} = {_bare(value)}`" for key, value in options.items())
        rows.append(f"| `{name}` | {shown} |")
    return "\n".join(rows)


def render_successors() -> str:
    """Render the options that vLLM no longer has, and what took their place, as Markdown."""
    catalogue = load_catalogue()
    rows = ["| option | what `vllmd` says |", "|---|---|"]
    for name in sorted(SUCCESSORS):
        if catalogue.find(name) is None:
            message, hint = explain_unknown(catalogue, name)
            rows.append(f"| `{name}` | {message}; {hint} |")
    return "\n".join(rows)


def render_kvbm_page(text: str) -> str:
    """Return the page on KVBM with its generated tables up to date."""
    for name, render in BLOCKS.items():
        text = replace_block(text, name, render().rstrip("\n"))
    return text


def render_hypervisor_page(text: str) -> str:
    """Return the page on the hypervisor with its generated tables up to date."""
    for table, keys in HOST_TABLES.items():
        text = replace_block(text, f"host {table}", render_host_keys(table, keys))
    text = replace_block(text, "guest variables", render_hypervisor_variables(GUEST_VARIABLES))
    return replace_block(text, "host variables", render_hypervisor_variables(HOST_VARIABLES))


def render_host_keys(table: str, keys: tuple[Key, ...]) -> str:
    """Render the keys of a table of the host's file as Markdown, with what wins over each."""
    over = {variable.key: f"`{variable.name}`" for variable in HOST_VARIABLES if variable.key}
    rows = ["| key | value | default | variable over it | meaning |", "|---|---|---|---|---|"]
    for key in keys:
        default = key.default_words or _toml(key.default)
        variable = over.get(f"{table}.{key.name}", "")
        rows.append(f"| `{key.name}` | {key.expected} | {default} | {variable} | {key.doc} |")
    return "\n".join(rows)


def render_hypervisor_variables(variables: tuple[Variable, ...]) -> str:
    """Render environment variables as Markdown."""
    rows = ["| variable | value | default | meaning | used by |", "|---|---|---|---|---|"]
    for variable in variables:
        kind = ", ".join(f"`{each}`" for each in variable.choices) or KINDS[variable.kind]
        default = variable.default_words or f"`{variable.default}`"
        if variable.required:
            default = "required"
        used = ", ".join(f"`{each}`" for each in variable.used_by)
        rows.append(f"| `{variable.name}` | {kind} | {default} | {variable.doc} | {used} |")
    return "\n".join(rows)


def render_diagnoses() -> str:
    """Render what a failure may have been as Markdown."""
    rows = ["| kind | it was | what to do |", "|---|---|---|"]
    rows += [f"| `{rule.kind}` | {rule.what} | {rule.advice} |" for rule in RULES]
    return "\n".join(rows)


def render_variables() -> str:
    """Render the environment variables as Markdown."""
    rows = ["| variable | meaning |", "|---|---|"]
    rows += [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items()]
    return "\n".join(rows)


def _bare(value: object) -> str:
    return _toml(value).strip("`")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def render_schema() -> str:
    """Return the schema of the TOML file for the newest version of vLLM that we know."""
    schema = render_file_schema(load_catalogue(), load_help(), render_guest_schema())
    return json.dumps(schema, indent=1) + "\n"


def main() -> int:
    """Rewrite the generated files, or check them."""
    page = PAGE.read_text(encoding="utf-8")
    options = OPTIONS.read_text(encoding="utf-8")
    wanted = {
        PAGE: render_page(page),
        OPTIONS: replace_block(options, "successors", render_successors()),
        TROUBLE: replace_block(
            TROUBLE.read_text(encoding="utf-8"), "diagnoses", render_diagnoses()
        ),
        IMAGE: replace_block(IMAGE.read_text(encoding="utf-8"), "variables", render_variables()),
        SCHEMA: render_schema(),
        KVBM: render_kvbm_page(KVBM.read_text(encoding="utf-8")),
        HYPERVISOR: render_hypervisor_page(HYPERVISOR.read_text(encoding="utf-8")),
        HOST_SCHEMA: json.dumps(render_host_schema(), indent=1) + "\n",
    }
    wanted.update({ROOT / name: render() for name, render in SAMPLES.items()})
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" not in sys.argv[1:]:
        for path in stale:
            path.write_text(wanted[path], encoding="utf-8")
        return 0
    for path in stale:
        print(f"{path.relative_to(ROOT)} is out of date: run python tools/docs.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
