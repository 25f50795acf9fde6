"""`vllmd schema`: the JSON Schema of the TOML file."""

from __future__ import annotations

import json
import sys

from launcher.cli.arguments import parse_schema
from launcher.cli.guest_table import render_guest_schema
from launcher.errors import EX_OK
from launcher.facts import find_default_version
from launcher.server.catalogue.data import load_catalogue, load_help
from launcher.server.schema import render_file_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Print the schema for the installed version of vLLM, or the one that is asked for.

    Raises:
        UsageError: wrong command line.
    """
    arguments = parse_schema(argv)
    version = arguments.vllm_version or find_default_version(environ, sys.executable)
    schema = render_file_schema(load_catalogue(version), load_help(), render_guest_schema())
    print(json.dumps(schema, indent=2))
    return EX_OK
