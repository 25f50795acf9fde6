"""What can go wrong between us and a server.

LauncherError
ServerError     69  the server cannot be reached, or does not answer as one
RequestError     1  the server understood the request, and refused it
DeadlineError   75  the time is over
ConfigError
InputError    65  a file of requests, or of results, does not hold what it should
"""

from __future__ import annotations

from launcher.errors import EX_UNAVAILABLE, ConfigError, LauncherError

EX_FAILED = 1
EX_DATAERR = 65
EX_TEMPFAIL = 75


class ServerError(LauncherError):
    """The server cannot be reached, or does not answer as one."""

    exit_code = EX_UNAVAILABLE


class RequestError(LauncherError):
    """The server refused the request. `status` is that of HTTP; 0 where a stream said so."""

    exit_code = EX_FAILED

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


class DeadlineError(LauncherError):
    """No complete answer in time."""

    exit_code = EX_TEMPFAIL


class InputError(ConfigError):
    """Lines that are not what they should be; carries all problems."""

    exit_code = EX_DATAERR
