"""What a command about the host tells, at the level of VLLMD_HYPERVISOR_LOG_LEVEL."""

from __future__ import annotations

import os

from launcher.output import print_problems
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.loading import Host

DEBUG, INFO, WARN, ERROR = LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")


@record
class Teller:
    """Prints what is at its level or above it. Results that were asked for are not its business."""

    level: str

    def tells(self, level: str) -> bool:
        """Tell whether something of a level is printed."""
        return LEVELS.index(level) >= LEVELS.index(self.level)

    def detail(self, text: str) -> None:
        """Print what only a search for a fault needs."""
        if self.tells(DEBUG):
            _print(text)

    def step(self, text: str) -> None:
        """Print what is being done."""
        if self.tells(INFO):
            _print(text)


def tell_warnings(host: Host) -> Teller:
    """Print the warnings of the host's file and the environment; return who tells the rest."""
    teller = Teller(level=host.settings.log_level)
    if teller.tells(WARN):
        print_problems(host.warnings, host.documents)
    return teller


def _print(text: str) -> None:
    """Print a line. What is being done goes on where nobody reads any more (`| head`)."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
