"""What commands there are and what each takes, as their own parsers say it: for completion."""

from __future__ import annotations

import argparse
from importlib import import_module

from launcher.cli.arguments import DESCRIBE, DescribedError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.cli.main import FrontDoor

# What a value is, by the word that stands for it in --help.
FILES = ("CONFIG", "FILE", "PATH", "SOCKET", "TAR", "TEMPLATE", "INPUT", "OUTPUT")
FOLDERS = ("DIR", "FOLDER")
INSTANCES = ("NAME", "INSTANCE")

FILE, FOLDER, INSTANCE, WORD = "file", "folder", "instance", "word"


@record
class Value:
    """What may stand somewhere: one of `choices`, or something of a `kind`."""

    kind: str = WORD
    choices: tuple[str, ...] = ()


@record
class Option:
    """An option: all its spellings, what it takes (None: nothing), and its help."""

    names: tuple[str, ...]
    value: Value | None
    help: str


@record
class Command:
    """A command, with what it takes and the commands below it."""

    name: str
    help: str
    options: tuple[Option, ...] = ()
    words: tuple[Value, ...] = ()
    commands: tuple[Command, ...] = ()


def describe_program(door: FrontDoor) -> Command:
    """Describe a whole program; only parsers are made, nothing is run."""
    commands = (_describe(door, name, text) for name, text in door.commands.items())
    return Command(name=door.program, help="", commands=tuple(commands))


def _describe(door: FrontDoor, name: str, text: str) -> Command:
    try:
        module = import_module(f"{door.package}.{name.replace('-', '_')}")
        module.main([DESCRIBE], {})
    except ImportError:
        return Command(name=name, help=text)  # it needs an extra that is not installed
    except DescribedError as described:
        return _read_parser(described.parser, name, text)
    raise TypeError(f"'{name}' has read its words without a parser of ours")


def _read_parser(parser: argparse.ArgumentParser, name: str, text: str) -> Command:
    options, words, commands = [], [], []
    for action in parser._actions:  # noqa: SLF001  (argparse has no other way to ask)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            commands += list(_read_commands(action))
        elif action.option_strings:
            options.append(_read_option(action))
        else:
            words.append(_read_value(action))
    return Command(
        name=name,
        help=text,
        options=tuple(options),
        words=tuple(words),
        commands=tuple(commands),
    )


def _read_commands(
    action: argparse._SubParsersAction[argparse.ArgumentParser],
) -> Iterator[Command]:
    helps = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
    for name, parser in action.choices.items():
        yield _read_parser(parser, name, helps.get(name, ""))


def _read_option(action: argparse.Action) -> Option:
    value = None if action.nargs == 0 else _read_value(action)
    text = (action.help or "").partition(" (default")[0].replace("%%", "%")
    return Option(names=tuple(action.option_strings), value=value, help=text)


def _read_value(action: argparse.Action) -> Value:
    if action.choices:
        return Value(choices=tuple(str(choice) for choice in action.choices))
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if metavar in FILES:
        return Value(kind=FILE)
    if metavar in FOLDERS:
        return Value(kind=FOLDER)
    is_instance = metavar in INSTANCES and (not action.option_strings or action.dest == "instance")
    return Value(kind=INSTANCE if is_instance else WORD)
