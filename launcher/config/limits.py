"""What no document may hold, though its grammar allows it: nothing later has to think of these.

Nesting that would exhaust the stack, integers outside TOML's 64 bits (Python cannot even print
some of them), and text that cannot be encoded, which no program can be given as an argument.
"""

from __future__ import annotations

from launcher.config.problems import Problem
from launcher.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import Origin, Path, TomlValue

DEEPEST = 64  # tables and arrays in each other; the contract needs six
LARGEST = 2**63 - 1  # TOML 1.0, section "Integer"
SMALLEST = -(2**63)
LARGEST_FILE = 16 << 20  # bytes; a device or a log that was named by mistake may have no end
SHOWN = 8  # parts of a path in a message


def require_small(raw: bytes, origin: Origin) -> None:
    """Check that a file, of which `LARGEST_FILE` bytes and one were asked for, has no more.

    Raises:
        ConfigError: it has.
    """
    if len(raw) > LARGEST_FILE:
        size = LARGEST_FILE >> 20
        message = f"this file has more than {size} MiB, too much for a configuration"
        raise ConfigError((Problem(message=message, hint="name the TOML file", origin=origin),))


def require_sane(data: Mapping[str, TomlValue], origin: Origin) -> None:
    """Check every key and value of a document.

    Raises:
        ConfigError: the first that is too deep, too large, or not text.
    """
    pending: list[tuple[Path, object]] = [((), data)]
    while pending:
        path, value = pending.pop()
        excess = _excess(path, value)
        if excess:
            message, hint = excess
            problem = Problem(message=message, hint=hint, origin=origin, path=path[:SHOWN])
            raise ConfigError((problem,))
        if isinstance(value, dict):
            pending.extend(((*path, key), inner) for key, inner in value.items())
        elif isinstance(value, list):
            pending.extend(((*path, number), inner) for number, inner in enumerate(value))


def _excess(path: Path, value: object) -> tuple[str, str] | None:
    if len(path) > DEEPEST:
        return f"this is nested more than {DEEPEST} levels deep", "use fewer levels"
    if isinstance(value, int) and not SMALLEST <= value <= LARGEST:
        return "this integer does not fit into 64 bits", "write a smaller number"
    key = path[-1] if path else ""
    if not _is_text(value) or not _is_text(key):
        return "this is not valid Unicode text", "remove the unpaired surrogate, like \\ud800"
    return None


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
