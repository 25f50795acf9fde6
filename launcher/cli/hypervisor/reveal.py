"""Secrets that the launcher's file refers to, for a seed disk that they are asked to be on."""

from __future__ import annotations

from launcher.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def reveal(reference: str, environ: Mapping[str, str]) -> str:
    """Return the secret that `env:NAME` or `file:/path` leads to on this host.

    Raises:
        HostError: it leads to none.
    """
    kind, _, place = reference.partition(":")
    if kind == "env":
        secret, fault = environ.get(place, ""), "the variable is not set"
        hint = f"export {place}=..."
    else:
        secret, fault = _read(place)
        hint = "write it there, readable for us"
    if not secret:
        raise HostError(f"the secret '{reference}' is not there: {fault}", hint)
    return secret


def _read(path: str) -> tuple[str, str]:
    """Return what is in a file, and why it is no secret where that is nothing."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip(), "the file is empty"
    except UnicodeDecodeError:
        return "", "the file is not UTF-8"
    except ValueError:
        return "", "a NUL character is in no path"
    except OSError as error:
        return "", (error.strerror or str(error)).lower()
