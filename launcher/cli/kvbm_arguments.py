"""The command line of `vllmd kvbm`, and its help."""

from __future__ import annotations

import argparse

from launcher.cli.arguments import Parser, new_parser
from launcher.kvbm.environment import CONFIG_PATH
from launcher.kvbm.layers import ROLES
from launcher.kvbm.loading import JSON_NAME
from launcher.kvbm.transfer import TRANSFER_KEYS

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
  vllmd kvbm show --launcher-file vllm.toml --instance chat --origins
  vllmd kvbm flag --set leader.cache.host.cache_size_gb=4.0
"""


def new_kvbm_parser() -> argparse.ArgumentParser:
    """Return the parser."""
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
    for verb in (show, flag):
        verb.add_argument("--instance", metavar="NAME", help="an instance of the launcher's file")
        verb.add_argument(
            "--launcher-file",
            metavar="FILE",
            help="the launcher's file (default: the one in AUTO_INFER_VLLM_CONFIG)",
        )
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
