"""The front door: find the command, run it, and turn errors into messages and exit codes."""

from __future__ import annotations

import errno
import io
import os
import sys
from importlib import import_module

from launcher.errors import EX_OK, EX_OSERR, EX_SOFTWARE, EX_USAGE, HostError, LauncherError
from launcher.process.console import open_missing_streams
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Packages that only some commands need, and which extra of ours brings each.
EXTRAS = {"pycdlib": "[hypervisor]", "pyroute2": "[hypervisor]", "tomli": "", "deepmerge": ""}

# Command -> what it does, in the words of `vllmd --help`. Each is a module of this package with
# a `main(argv, environ)`; only the one that is asked for is imported.
COMMANDS = {
    "run": "start the servers and supervise them (PID 1 of a container)",
    "check": "report every problem of a configuration, without starting anything",
    "plan": "show exactly what would be started, and where each value comes from",
    "status": "show the running launcher and its instances",
    "logs": "print the end of an instance's log, and follow it",
    "start": "start an instance that is stopped or has failed",
    "stop": "stop an instance of the running launcher, and leave it so",
    "restart": "stop an instance and start it again",
    "sleep": "have a server give up its GPU memory, and stay",
    "wake": "have a sleeping server take its GPU memory again",
    "reload": "read the configuration again, and restart what has changed",
    "explain": "say what a key means, and in which versions of vLLM it exists",
    "schema": "print the JSON Schema of the TOML file, for editors",
    "render": "write the same configuration for compose, quadlet, systemd or kubernetes",
    "generate": "send a prompt to a server and print its answer",
    "batch": "send a file of requests to a server, over restarts of either",
    "kvbm": "show and check a KVBM configuration, and print vLLM's flag for it",
    "bundle": "install an offline pixi bundle, or list what one has",
    "completion": "print a script by which your shell completes all this",
    "demo-model": "write a tiny random-weight model to try things with",
}
INTERRUPTED = 130
FULL = (errno.ENOSPC, errno.EDQUOT)
NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)

HELP = """\
usage: vllmd COMMAND [options]

One TOML file in, running and supervised vLLM servers out.

commands:
{commands}
  -h, --help    show this help; 'vllmd COMMAND --help' shows a command's options
  --version     show the version

The configuration is the file named on the command line, else in AUTO_INFER_VLLM_CONFIG;
the JSON object in AUTO_INFER_VLLM_OVERRIDES is merged over it.

  vllmd check vllm.toml
  vllmd run vllm.toml --set instance.demo.server.port=8001
"""


@record
class FrontDoor:
    """A program with commands: each is a module of `package`, named after the command."""

    program: str
    package: str
    commands: Mapping[str, str]
    help: str


DOOR = FrontDoor(program="vllmd", package="launcher.cli", commands=COMMANDS, help=HELP)


def main(argv: list[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run a command line of `vllmd` and return its exit code."""
    return enter(DOOR, argv, environ)


def enter(door: FrontDoor, argv: list[str] | None, environ: Mapping[str, str] | None) -> int:
    """Run a command line of a program and return its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        _prepare_streams()
        code = _dispatch(door, arguments, os.environ if environ is None else environ)
        sys.stdout.flush()  # here, where it can still be said that it failed
    except LauncherError as error:
        code = _report(error)
    except ModuleNotFoundError as error:
        code = _report_missing(error)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (`vllmd plan | head`).
        _discard_output()
        code = EX_OK
    except OSError as error:
        code = _report_failed_call(error)
    except Exception:  # noqa: BLE001  (the outermost net: whatever gets here is our bug)
        code = _report_bug()
    return code


def _prepare_streams() -> None:
    """Make the standard streams fit to be written to, whatever we were started with."""
    open_missing_streams()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name with an accent is no reason to fail where the locale has none.
        sys.stdout.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Send what is still buffered nowhere: the interpreter flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _report_failed_call(error: OSError) -> int:
    if error.errno in NO_DESCRIPTOR:
        return _report_no_descriptor()
    return _report_full() if error.errno in FULL else _report_bug()


def _report_no_descriptor() -> int:
    """Say so without reading another file: any import would fail."""
    os.write(2, b"error: too many open files\nhint: raise the limit, like: ulimit -n 1024\n")
    return EX_OSERR


def _report_full() -> int:
    _discard_output()
    return _report(HostError("the output cannot be written: the disk is full", "make room on it"))


def _report_missing(error: ModuleNotFoundError) -> int:
    """Say how to get a package that is not here; one that nobody chooses to leave out is a bug."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(package)
    if extra is None:
        return _report_bug()
    return _report(
        HostError(
            f"the Python package '{package}' is not installed",
            f"install it with: pip install 'vllmd{extra}'",
        )
    )


def _report_bug() -> int:
    import traceback  # noqa: PLC0415

    traceback.print_exc()
    print("error: this is a bug in vllmd; please report it with the lines above", file=sys.stderr)
    return EX_SOFTWARE


def _dispatch(door: FrontDoor, arguments: list[str], environ: Mapping[str, str]) -> int:
    name = arguments[0] if arguments else "--help"
    if name == "help" and arguments[1:2] and arguments[1] in door.commands:
        name, arguments = arguments[1], [arguments[1], "--help"]  # `vllmd help run`
    if name in {"-h", "--help", "help"}:
        width = max(map(len, door.commands)) + 2
        lines = "".join(f"  {each:<{width}}{text}\n" for each, text in door.commands.items())
        print(
            door.help.format(commands=lines), end="", file=sys.stdout if arguments else sys.stderr
        )
        return EX_OK if arguments else EX_USAGE
    if name in {"-V", "--version", "version"}:
        from launcher import __version__  # noqa: PLC0415

        print(f"{door.program} {__version__}")
        return EX_OK
    if name not in door.commands:
        _raise_unknown(door, name)
    module = import_module(f"{door.package}.{name.replace('-', '_')}")
    command: Callable[[list[str], Mapping[str, str]], int] = module.main
    return command(arguments[1:], environ)


def _raise_unknown(door: FrontDoor, name: str) -> None:
    from launcher.config.suggest import render_hint  # noqa: PLC0415
    from launcher.errors import UsageError  # noqa: PLC0415

    if name.startswith("-"):
        raise UsageError(
            f"unknown option '{name}'", f"write the command first, see '{door.program} --help'"
        )
    raise UsageError(f"unknown command '{name}'", render_hint(name, door.commands))


def _report(error: LauncherError) -> int:
    # Imported for users who made a mistake only.
    try:
        from launcher.output import print_error  # noqa: PLC0415
    except OSError as failure:
        if failure.errno in NO_DESCRIPTOR:
            return _report_no_descriptor()
        raise

    print_error(error)
    return error.exit_code
