"""Command lines, by argparse: what each command takes, and its help."""

from __future__ import annotations

import argparse

from launcher.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


# Asks a parser to show itself instead of parsing. Nobody can type a NUL.
DESCRIBE = "-\0describe"
UNRECOGNIZED = "unrecognized arguments: "  # what argparse says before the words it did not take


class DescribedError(Exception):
    """A parser was asked to show itself: here it is."""

    def __init__(self, parser: Parser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ours: one message, exit code 64."""

    def parse_known_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: argparse.Namespace | None = None,
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, or raise the parser itself where it is asked for.

        Raises:
            DescribedError: the words are `DESCRIBE`.
        """
        if args is not None and list(args) == [DESCRIBE]:
            raise DescribedError(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            UsageError: always.
        """
        see = f"see '{self.prog} --help'"
        words = message.removeprefix(UNRECOGNIZED)
        if words == message:
            raise UsageError(message, see)
        word = words.partition(" ")[0].partition("=")[0]
        if not word.startswith("-"):
            raise UsageError(f"one word too many: '{word}'", see)
        from launcher.config.suggest import find_nearest  # noqa: PLC0415  (for a mistake only)

        nearest = find_nearest(word, self._option_string_actions)
        raise UsageError(
            f"unknown option '{word}'", f"did you mean '{nearest}'?" if nearest else see
        )


def new_parser(
    command: str, description: str, epilog: str = "", *, program: str = "vllmd"
) -> Parser:
    """Return a parser for one command; no abbreviations, texts as they are written."""
    return Parser(
        prog=f"{program} {command}",
        description=description,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the configuration's file and the settings over it."""
    parser.add_argument(
        "config",
        metavar="CONFIG",
        nargs="?",
        help="the TOML file (default: the one in AUTO_INFER_VLLM_CONFIG)",
    )
    parser.add_argument(
        "--set",
        metavar="PATH=VALUE",
        dest="assignments",
        action="append",
        default=[],
        help="set one value over everything else, like instance.demo.server.port=8001; "
        "may be repeated",
    )


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add the version of vLLM whose options count."""
    parser.add_argument(
        "--vllm-version",
        metavar="V",
        default="",
        type=_version,
        help="check against this version of vLLM, like 0.32.0 (default: the installed one)",
    )


def add_log_options(parser: argparse.ArgumentParser, follow: str) -> None:
    """Add what every command takes that prints the end of a log."""
    parser.add_argument("-f", "--follow", action="store_true", help=follow)
    parser.add_argument(
        "-n",
        "--lines",
        type=_count,
        default=100,
        metavar="LINES",
        help="how many lines to begin with (default: 100)",
    )


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise ValueError
    return count


_count.__name__ = "number of lines"  # argparse shows it: "invalid number of lines value"


def _version(text: str) -> str:
    from launcher.server.catalogue.versions import parse_version  # noqa: PLC0415

    if text and parse_version(text) is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no version; write it like 0.32.0")
    return text


RUN_EXAMPLES = """\
examples:
  vllmd run vllm.toml
  vllmd run vllm.toml --set instance.demo.server.max_model_len=4096
  vllmd run --wait-ready vllm.toml -- python evaluate.py     servers first, then a program

exit codes: 0 stopped as asked; 64 wrong usage; 69 a program is missing; 71 a process could not
be started; 78 the configuration is wrong; 137 somebody had to be killed; else the code of the
main program, or of the instance with background = false that ended
"""


def parse_run(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd run` before the `--`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = new_parser(
        "run",
        "Start every enabled instance and supervise it until it is told to stop.",
        RUN_EXAMPLES,
    )
    parser.usage = "vllmd run [CONFIG] [--set PATH=VALUE]... [--wait-ready] [-- CMD ...]"
    add_config(parser)
    parser.add_argument(
        "--wait-ready",
        action="store_true",
        help="start the main program CMD only when every instance is healthy",
    )
    return parser.parse_args(words)


def parse_check(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd check`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = new_parser(
        "check",
        "Report every problem of a configuration, sorted by line. Nothing is started.\n"
        "Exit code 0 without errors, 78 with.",
        "example, in a pull request's workflow, away from models, secrets and GPUs:\n"
        "  vllmd check vllm.toml --elsewhere --vllm-version 0.32.0 --format github\n",
    )
    add_config(parser)
    parser.add_argument(
        "--format",
        choices=("text", "json", "github"),
        default="text",
        help="text for people (default), json for programs, github for annotations",
    )
    parser.add_argument(
        "--elsewhere",
        action="store_true",
        help="the file is for another machine: take it that what it names is there (Python, pixi, "
        "models, log folders, secrets)",
    )
    add_version(parser)
    return parser.parse_args(words)


def parse_plan(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd plan`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = new_parser(
        "plan",
        "Show exactly what `vllmd run` would start: argument list, environment, GPUs and log of\n"
        "each instance, and where each value comes from. Secrets are shown as ***.",
        "example, command lines for pasting:\n  vllmd plan vllm.toml --format shell\n",
    )
    add_config(parser)
    parser.add_argument(
        "--format",
        choices=("text", "json", "shell"),
        default="text",
        help="text for people (default), json for programs, shell for pasting",
    )
    return parser.parse_args(words)


def parse_explain(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd explain`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = new_parser(
        "explain",
        "Say what a key means, what it takes, and in which versions of vLLM it exists.",
        "examples:\n  vllmd explain max_model_len\n  vllmd explain gpu_ids\n"
        "  vllmd explain swap_space --vllm-version 0.33.0\n",
    )
    parser.add_argument("key", metavar="KEY", help="a key of the TOML file, or a flag of vLLM")
    add_version(parser)
    # A flag is a word here and no option of ours: `vllmd explain --max-model-len`.
    own = {"-h", "--help", "--vllm-version", DESCRIBE}
    plain = [word if word.partition("=")[0] in own else word.lstrip("-") for word in words]
    return parser.parse_args(plain)


def parse_schema(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd schema`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = new_parser(
        "schema",
        "Print the JSON Schema of the TOML file, for editors (Taplo, Even Better TOML).",
        "example:\n  vllmd schema > vllmd.schema.json\n"
        "and as the first line of the TOML file:\n  #:schema ./vllmd.schema.json\n",
    )
    add_version(parser)
    return parser.parse_args(words)


def parse_demo_model(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd demo-model`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = new_parser(
        "demo-model",
        "Write a tiny Llama model with random weights and its own tokenizer. Nothing is\n"
        "downloaded; vLLM serves it on a CPU, and what it says is nonsense.",
        "example:\n  vllmd demo-model /tmp/demo-model\n",
    )
    parser.add_argument("directory", metavar="DIR", help="where to write it; made if missing")
    return parser.parse_args(words)
