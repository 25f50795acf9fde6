"""The front door of `vllmd-hypervisor`."""

from __future__ import annotations

from launcher.cli.main import FrontDoor, enter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS = {
    "start": "boot the guest that the VLLMD_HYPERVISOR_* variables describe, and supervise it",
    "stop": "shut the guest down gracefully; force it when it does not listen",
    "status": "show whether the guest runs, and what runs inside",
    "logs": "print the end of the guest's log, and follow it",
    "image": "build a bootable image with the launcher inside",
    "precheck": "check what this host can do, and say how to mend what it cannot",
    "initialize": "prepare this host: huge pages, bridge and taps, devices, directories",
    "generate-init": "write the cloud-init seed disk of each runtime",
    "install-systemd": "install a systemd unit and its environment file for each runtime",
    "variables": "list the environment variables, with defaults and where they are used",
}

HELP = """\
usage: vllmd-hypervisor COMMAND [options]

Boots virtual machines that run `vllmd` from the same TOML file as a container would.

commands:
{commands}
  -h, --help         show this help; 'vllmd-hypervisor COMMAND --help' shows a command's options
  --version          show the version

  vllmd-hypervisor precheck
  vllmd-hypervisor image build --output guest/
  vllmd-hypervisor start
"""

DOOR = FrontDoor(
    program="vllmd-hypervisor", package="launcher.cli.hypervisor", commands=COMMANDS, help=HELP
)


def main(argv: list[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run a command line and return its exit code."""
    return enter(DOOR, argv, environ)
