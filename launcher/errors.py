"""The errors that `vllmd` reports, and the exit code of each (the numbers of sysexits.h).

    LauncherError
      UsageError     64  wrong command line or environment
      HostError      69  a needed program or device is missing
      StartError     71  a process could not be started
      ConfigError    78  the configuration does not say what can be run: holds every problem found

Anything else that escapes is a bug of ours: exit code 70. How a child process ended is a value
(`launcher.process.spec.ExitStatus`), never an exception.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.document import Document
    from launcher.config.problems import Problem

EX_OK = 0
EX_USAGE = 64
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_OSERR = 71
EX_CONFIG = 78


class LauncherError(Exception):
    """What a user can mend. `message` is one lower-case sentence, `hint` an action or empty."""

    exit_code = EX_SOFTWARE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LauncherError):
    """The command line or the environment does not make sense."""

    exit_code = EX_USAGE


class HostError(LauncherError):
    """This machine lacks a program or device that the configuration needs."""

    exit_code = EX_UNAVAILABLE


class StartError(LauncherError):
    """A process could not be started."""

    exit_code = EX_OSERR


class ConfigError(LauncherError):
    """The configuration is wrong. Carries all problems, not only the first.

    `documents` are the texts that the problems are about, so that their lines can be shown.
    """

    exit_code = EX_CONFIG

    def __init__(self, problems: tuple[Problem, ...], documents: tuple[Document, ...] = ()) -> None:
        super().__init__(f"{len(problems)} problems" if len(problems) != 1 else "1 problem")
        self.problems = problems
        self.documents = documents
