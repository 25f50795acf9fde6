"""Secrets that would stand in the process list, which everybody on the machine can read."""

from __future__ import annotations

from launcher.config.problems import WARNING
from launcher.config.secrets import holds_secret, is_secret_name
from launcher.server.secret_values import SECRET_OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.config.problems import Path, TomlValue
    from launcher.config.reader import Problems
    from launcher.server.catalogue.lookup import Catalogue
    from launcher.server.facts import Facts
    from launcher.server.model import Instance

EXPOSED = "holds a secret, which everybody on the machine could read in the process list"


def check_secrets(instances: tuple[Instance, ...], facts: Facts, problems: Problems) -> None:
    """Refuse secrets on the command line, those inside JSON too."""
    for instance in instances:
        for option in instance.options:
            if option.name in SECRET_OPTIONS:
                continue
            if is_exposed(option.name, option.value, facts.catalogue):
                hint = f"set a variable that the server reads in [instance.{instance.name}.env]"
                problems.add(option.path, f"'{option.name}' {EXPOSED}", f"{hint} instead")
            for path in _urls_inside(option.value, option.path):
                message = f"'{option.name}': this URL {EXPOSED}"
                hint = f"leave it out; a variable in [instance.{instance.name}.env] may say it"
                problems.add(path, message, hint, severity=WARNING)
            for path in _secrets_inside(option.value, option.path):
                message = f"'{path[-1]}' in '{option.name}' {EXPOSED}"
                hint = "give it by a variable or a file, if the server can read it from there"
                problems.add(path, message, hint)
        _check_words(instance, facts, problems)


def is_exposed(name: str, value: TomlValue, catalogue: Catalogue | None) -> bool:
    """Tell whether an option would show a secret; what vLLM knows, its catalogue says."""
    known = catalogue.find(name) if catalogue else None
    if known is not None:
        return known.secret and not isinstance(value, bool)
    return is_secret_name(name) and isinstance(value, str | list)


def secret_flag(word: str, catalogue: Catalogue | None) -> str | None:
    """Return the option's name where a word of a command line is the flag of a secret."""
    if not word.startswith("--"):
        return None
    name = split_flag(word)[0].lstrip("-").replace("-", "_")
    return name if name in SECRET_OPTIONS or is_exposed(name, "", catalogue) else None


def split_flag(word: str) -> tuple[str, str, str]:
    """Split a word into flag, separator and value; a space is meant as `=`, if not taken."""
    for at, character in enumerate(word):
        if character in "= ":
            return word[:at], character, word[at + 1 :]
    return word, "", ""


def _check_words(instance: Instance, facts: Facts, problems: Problems) -> None:
    for word in instance.extra_args:
        name = secret_flag(word, facts.catalogue)
        if name is not None:
            hint = f'write {name} = "env:NAME" or "file:/path" in the table instead'
            if name not in SECRET_OPTIONS:
                hint = f"set a variable that the server reads in [instance.{instance.name}.env]"
            message = f"'extra_args': '{split_flag(word)[0]}' {EXPOSED}"
            problems.add(instance.extra_args_path, message, hint)


def _urls_inside(value: TomlValue, path: Path) -> Iterator[Path]:
    """Yield the places of URLs with a password or a token in them, at any depth."""
    if isinstance(value, str):
        if "://" in value and holds_secret(value):
            yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _urls_inside(inner, (*path, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _urls_inside(inner, (*path, position))


def _secrets_inside(value: TomlValue, path: Path) -> Iterator[Path]:
    """Yield the places of secrets in a table, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if is_secret_name(key) and isinstance(inner, str):
                yield (*path, key)
            else:
                yield from _secrets_inside(inner, (*path, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _secrets_inside(inner, (*path, position))
