"""The command lines of those that talk to a running launcher."""

from __future__ import annotations

from launcher.cli.arguments import add_log_options, new_parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from launcher.cli.arguments import Parser

CODES = "69 where no launcher runs, 64 for wrong usage"
ORDERS = {
    "start": "Start an instance that is stopped, has failed, or waits for its next restart.",
    "stop": "Stop an instance: SIGTERM, its grace, SIGKILL. It stays so until it is started.",
    "restart": "Stop an instance and start it again, with a fresh budget of restarts.",
}


def _new(command: str, description: str, epilog: str = "") -> Parser:
    parser = new_parser(command, description, epilog)
    parser.add_argument(
        "--socket",
        metavar="PATH",
        default="",
        help="the launcher's control socket (default: VLLMD_SOCKET, else the one that is alive)",
    )
    return parser


def parse_status(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd status`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = _new(
        "status",
        "Show the running launcher and its instances.\n"
        f"Exit code 0 if all instances that are meant to run are ready, 1 if not;\n{CODES}.",
        "examples:\n  vllmd status\n  vllmd status --json | jq '.instances[].state'\n"
        "  docker exec my-container vllmd status --watch\n",
    )
    parser.add_argument("--json", action="store_true", help="for programs; with --watch, in lines")
    parser.add_argument(
        "--watch", action="store_true", help="refresh every second, in place, until Ctrl-C"
    )
    return parser.parse_args(words)


def parse_logs(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd logs`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = _new(
        "logs",
        "Print the end of an instance's log.\n"
        f"Exit code 0; {CODES}, or an instance that there is not.",
        "example:\n  vllmd logs -f -n 20 chat\n",
    )
    parser.add_argument("name", metavar="NAME", help="the instance")
    add_log_options(
        parser, "go on with what is added, through rotations and restarts, until Ctrl-C"
    )
    return parser.parse_args(words)


def parse_order(verb: str, words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd start`, `stop` or `restart`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = _new(
        verb,
        ORDERS[verb] + f"\nExit code 0 once the launcher has taken it, 71 if it refuses;\n{CODES}.",
        f"example:\n  vllmd {verb} --wait chat\n",
    )
    parser.add_argument("name", metavar="NAME", help="the instance")
    until = "it has stopped" if verb == "stop" else "it is healthy"
    parser.add_argument(
        "--wait", action="store_true", help=f"wait until {until}; exit code 1 if it never is"
    )
    return parser.parse_args(words)


def parse_sleep(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd sleep`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = _new(
        "sleep",
        "Have a server give up its GPU memory, and stay: it wakes in less time than it starts.\n"
        "It needs enable_sleep_mode, and VLLM_SERVER_DEV_MODE=1 in its environment.\n"
        f"Exit code 0 once it sleeps, 71 if it cannot;\n{CODES}.",
        "example:\n  vllmd sleep chat && vllmd wake other\n",
    )
    parser.add_argument("name", metavar="NAME", help="the instance")
    parser.add_argument(
        "--level",
        type=int,
        choices=(1, 2),
        default=1,
        help="1 keeps the weights in memory, 2 drops them (default: 1)",
    )
    return parser.parse_args(words)


def parse_wake(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd wake`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = _new(
        "wake",
        "Have a sleeping server take its GPU memory again.\n"
        f"Exit code 0 once it is awake, 71 if it cannot;\n{CODES}.",
        "example:\n  vllmd wake chat\n",
    )
    parser.add_argument("name", metavar="NAME", help="the instance")
    return parser.parse_args(words)


def parse_reload(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd reload`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = _new(
        "reload",
        "Let the launcher read its configuration again. It restarts what has changed and leaves\n"
        "the rest alone; a configuration with an error changes nothing.\n"
        f"Exit code 0; 78 if the configuration is wrong;\n{CODES}.",
        "example:\n  vllmd check vllm.toml && vllmd reload\n",
    )
    return parser.parse_args(words)
