"""Command lines of those who talk to servers: `vllmd generate` and `vllmd batch`."""

from __future__ import annotations

import argparse
import json

from launcher.cli.arguments import new_parser
from launcher.client.timeouts import parse_duration
from launcher.config.timeout_profiles import PROFILES
from launcher.errors import UsageError

SERVER = """\
The server is an instance of the configuration, by its name (where there is one only: without), or
an address: http://HOST:PORT, https://..., unix:/PATH. Its key comes from the configuration's
api_key, else from VLLM_API_KEY or OPENAI_API_KEY; it is never an argument.
"""

GENERATE_EXAMPLES = """\
examples:
  vllmd generate "Once upon a time" --max-tokens 64
  vllmd generate chat "What is a TOML file?" --chat --stream
  vllmd generate http://127.0.0.1:8000 "Hello" --timeout 30s
  git diff | vllmd generate chat --chat --system "Review this change" -

exit codes: 0 answered; 1 refused; 64 wrong usage; 69 no server; 75 no answer in time
"""

BATCH_EXAMPLES = """\
examples:
  vllmd batch -i requests.jsonl -o results.jsonl
  vllmd batch http://127.0.0.1:8000 -i requests.jsonl -o results.jsonl --timeout 12h

Start it again to go on where it ended: requests with a result are not sent again.

exit codes: 0 all answered; 1 all have a result, but some failed; 64 wrong usage; 65 a file does
not hold what it should; 69 the server was away too long; 75 the time is over; 130 interrupted
"""


def parse_generate(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd generate`; `server` is None where it was not named.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = new_parser(
        "generate",
        f"Send a prompt to a server and print its answer.\n\n{SERVER}",
        GENERATE_EXAMPLES,
    )
    parser.usage = 'vllmd generate [INSTANCE|URL] "PROMPT" [options]'
    parser.add_argument("words", metavar="PROMPT", nargs="+", help="'-' reads it from stdin")
    parser.add_argument("--chat", action="store_true", help="as a message, by the chat template")
    parser.add_argument("--system", metavar="TEXT", help="a message before it; needs --chat")
    parser.add_argument("--stream", action="store_true", help="print the answer as it comes")
    parser.add_argument("--json", action="store_true", help="print the server's whole answer")
    _add_sampling(parser)
    _add_server(parser)
    parser.add_argument(
        "--idle-timeout",
        metavar="TIME",
        type=_duration,
        default=argparse.SUPPRESS,
        help="longest silence within a stream (default: 120s)",
    )
    arguments = parser.parse_args(words)
    *servers, arguments.prompt = arguments.words
    if len(servers) > 1:
        hint = "put the prompt into quotes"
        raise UsageError(f"expected a server and a prompt, got {len(servers) + 1} words", hint)
    arguments.server = servers[0] if servers else None
    if arguments.system and not arguments.chat:
        raise UsageError("--system is a message, and needs --chat", "add --chat")
    if arguments.json and arguments.stream:
        raise UsageError("--json prints a whole answer, --stream its pieces", "drop one of them")
    return arguments


def parse_batch(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd batch`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = new_parser(
        "batch",
        "Send a file of requests (one JSON object in each line, OpenAI's batch format) and append\n"
        f"each answer to a file of results.\n\n{SERVER}",
        BATCH_EXAMPLES,
    )
    parser.usage = "vllmd batch [INSTANCE|URL] -i REQUESTS -o RESULTS [options]"
    parser.add_argument("server", metavar="INSTANCE|URL", nargs="?", help="whom to ask")
    parser.add_argument("-i", dest="requests", metavar="REQUESTS", required=True)
    parser.add_argument("-o", dest="results", metavar="RESULTS", required=True)
    parser.add_argument(
        "--concurrency",
        metavar="N",
        type=_count,
        default=128,
        help="requests at once (default: 128)",
    )
    parser.add_argument(
        "--retries",
        metavar="N",
        type=_count_or_zero,
        default=5,
        help="how often a request that the server took, and failed, is sent again (default: 5)",
    )
    parser.add_argument(
        "--wait",
        metavar="TIME",
        type=_duration,
        default=600_000.0,
        help="how long to wait for a server that is down or takes nothing (default: 10m)",
    )
    parser.add_argument(
        "--request-timeout",
        metavar="TIME",
        type=_duration,
        default=600_000.0,
        help="how long one request may take (default: 10m)",
    )
    parser.add_argument("--model", metavar="NAME", default="", help="the model of every request")
    _add_server(parser)
    return parser.parse_args(words)


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the TOML file (default: the one in AUTO_INFER_VLLM_CONFIG)",
    )
    parser.add_argument(
        "--set",
        metavar="PATH=VALUE",
        dest="assignments",
        action="append",
        default=[],
        help="set one value over the file; may be repeated",
    )
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument(
        "--timeout-profile",
        metavar="NAME",
        choices=[*PROFILES],
        help=f"how long the whole call may take: {', '.join(PROFILES)}",
    )
    limits.add_argument(
        "--timeout",
        metavar="TIME",
        type=_duration,
        default=argparse.SUPPRESS,
        help="exactly how long, like 300s, 5m, 1h; or none",
    )


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    sampling = parser.add_argument_group("sampling, where the server's own defaults will not do")
    sampling.add_argument("--model", metavar="NAME", default="", help="default: its first")
    sampling.add_argument("--max-tokens", metavar="N", type=_count)
    sampling.add_argument("--temperature", metavar="X", type=float, help="0: always the likeliest")
    sampling.add_argument("--top-p", metavar="X", type=float)
    sampling.add_argument("--top-k", metavar="N", type=int)
    sampling.add_argument("--seed", metavar="N", type=int)
    sampling.add_argument("--stop", metavar="TEXT", action="append", help="may be repeated")
    sampling.add_argument(
        "--option",
        metavar="KEY=VALUE",
        dest="options",
        action="append",
        default=[],
        type=_option,
        help="any other field of the request; VALUE is JSON, else a string",
    )


def _duration(text: str) -> float | None:
    try:
        return parse_duration(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{error.message}; {error.hint}") from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got '{text}'")
    return int(text)


def _count_or_zero(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _option(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got '{text}'")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
