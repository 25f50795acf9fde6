"""Where settings come from: the file, the overrides variable, and `--set`."""

from __future__ import annotations

from launcher.config.document import decode_toml, parse_assignment
from launcher.config.limits import LARGEST_FILE, require_small
from launcher.config.problems import Origin, Problem
from launcher.errors import ConfigError, UsageError
from launcher.server.model import CONFIG_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.config.document import Document

OVERRIDES_VARIABLE = "AUTO_INFER_VLLM_OVERRIDES"


def find_config(argument: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the configuration's path: the argument, else the variable; None without either."""
    return argument or environ.get(CONFIG_VARIABLE) or None


def require_config(argument: str | None, environ: Mapping[str, str]) -> str:
    """Return the configuration's path.

    Raises:
        UsageError: neither argument nor variable names one.
    """
    path = find_config(argument, environ)
    if path is None:
        raise UsageError(
            "no configuration: no file was named, and AUTO_INFER_VLLM_CONFIG is not set",
            "name a TOML file, or export AUTO_INFER_VLLM_CONFIG=/path/to/vllm.toml",
        )
    return path


def load_documents(
    path: str, assignments: tuple[str, ...], environ: Mapping[str, str]
) -> tuple[Document, ...]:
    """Read and parse every source, lowest first.

    Raises:
        ConfigError: with the problems of all sources that cannot be read or parsed.
    """
    readers: list[Callable[[], Document]] = [lambda: _read_file(path)]
    overrides = environ.get(OVERRIDES_VARIABLE, "")
    if overrides.strip():
        readers.append(lambda: _read_overrides(overrides))
    readers += [lambda text=text: parse_assignment(text) for text in assignments]  # type: ignore[misc]
    documents: list[Document] = []
    problems: list[Problem] = []
    for reader in readers:
        try:
            documents.append(reader())
        except ConfigError as error:
            problems += error.problems
            documents += error.documents
    if problems:
        raise ConfigError(tuple(problems), tuple(documents))
    return tuple(documents)


def _read_file(path: str) -> Document:
    origin = Origin(kind="file", name=path)
    try:
        with open(path, "rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        problem = Problem(message=_reason(error), hint=_hint(error), origin=origin)
        raise ConfigError((problem,)) from None
    require_small(raw, origin)
    return decode_toml(raw, origin)


def _read_overrides(text: str) -> Document:
    from launcher.config.overrides import parse_overrides  # noqa: PLC0415  (needs `json`)

    return parse_overrides(text)


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "this is a folder, not a file"
    if isinstance(error, NotADirectoryError):
        return "this path leads through a file, as if it were a folder"
    if isinstance(error, PermissionError):
        return "this file cannot be read by this user"
    return f"this file cannot be read: {(error.strerror or str(error)).lower()}"


def _hint(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "correct the path, or mount the file there"
    if isinstance(error, IsADirectoryError):
        return "name the TOML file in it"
    return "make it readable for the user that runs vllmd"
