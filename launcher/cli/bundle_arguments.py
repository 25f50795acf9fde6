"""The command line of `vllmd bundle`, and its help."""

from __future__ import annotations

import argparse
import re

from launcher.bundle.tools import AUTO, PIXI, RATTLER
from launcher.cli.arguments import Parser, new_parser
from launcher.server.model import BUNDLE_VARIABLE

SHA_VARIABLE = "AUTO_INFER_VLLM_BUNDLE_SHA256"
DESCRIPTION = """\
The offline bundle: a tar with a conda channel (pixi-pack writes one), installed
as a pixi environment without a network.
"""
EXAMPLES = """\
examples:
  vllmd bundle inspect bundle.tar
  vllmd bundle install bundle.tar --into /app
  AUTO_INFER_VLLM_BUNDLE_PATH=/mnt/bundle.tar vllmd run vllm.toml

exit codes: 0 installed, or it was there already; 69 neither pixi nor py-rattler is here, or the
folder cannot be written; 78 the bundle is broken, or not what its checksums say
"""
INSTALL = """\
Install a bundle into a project's folder, as .pixi/envs/ENV: by the pixi on PATH,
frozen and offline, or else by py-rattler (pip install 'vllmd[bundle]'). Every
package is compared with its checksum. All of it is installed or nothing: until
the last step, the former environment is what it was. What is installed already
is not installed again.
"""
INSPECT = """\
List the packages of a bundle, or of a folder that one was installed into, and
what is missing or not what its checksum says. Exit code 0 if all is well, 78 if
not.
"""


def new_bundle_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = new_parser("bundle", DESCRIPTION, EXAMPLES)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    _add_install(_add_verb(verbs, "install", "install a bundle into a project's folder", INSTALL))
    _add_inspect(_add_verb(verbs, "inspect", "list what a bundle or a folder has", INSPECT))
    return parser


def _add_verb(
    verbs: argparse._SubParsersAction[Parser], name: str, words: str, description: str
) -> Parser:
    return verbs.add_parser(
        name,
        help=words,
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_install(verb: Parser) -> None:
    verb.add_argument("tar", metavar="TAR", nargs="?", help=f"default: {BUNDLE_VARIABLE}")
    verb.add_argument(
        "--into",
        metavar="DIR",
        help="the project's folder, made if missing (default: [master] pixi_project_dir)",
    )
    verb.add_argument(
        "--environment",
        metavar="ENV",
        action="append",
        default=[],
        help="may be repeated (default: [master] pixi_environment, else 'default')",
    )
    verb.add_argument(
        "--sha256", metavar="HEX", type=_sha256, help=f"of the tar (default: {SHA_VARIABLE})"
    )
    verb.add_argument(
        "--by",
        choices=(AUTO, PIXI, RATTLER),
        default=AUTO,
        help="what installs packages: pixi if it is on PATH, else py-rattler (auto, the default), "
        "or one of them",
    )
    verb.add_argument("--force", action="store_true", help="install also what is there already")
    group = verb.add_argument_group("without --into, the launcher's configuration says where")
    group.add_argument("--config", metavar="CONFIG", help="default: AUTO_INFER_VLLM_CONFIG")
    group.add_argument(
        "--set", metavar="PATH=VALUE", dest="assignments", action="append", default=[],
        help="set one value over everything else; may be repeated",
    )  # fmt: skip


def _add_inspect(verb: Parser) -> None:
    verb.add_argument(
        "path",
        metavar="TAR",
        nargs="?",
        help=f"or a folder that one was installed into (default: {BUNDLE_VARIABLE})",
    )
    verb.add_argument("--environment", metavar="ENV", default="", help="of this environment only")
    verb.add_argument("--json", action="store_true", help="for programs")


def parse_sha256(text: str) -> str:
    """Return a SHA-256 in lower case.

    Raises:
        ValueError: it is none.
    """
    bare = text.strip().lower().removeprefix("sha256:")
    if not re.fullmatch("[0-9a-f]{64}", bare):
        raise ValueError(f"'{text}' is no SHA-256: that has 64 hexadecimal digits")
    return bare


def _sha256(text: str) -> str:
    try:
        return parse_sha256(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
