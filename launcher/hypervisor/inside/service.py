"""The service of a guest with systemd: run the entrypoint, and tell the host how it is.

systemd owns the power button there; it stops us with SIGTERM.
"""

from __future__ import annotations

import os

from launcher.hypervisor.inside.channel import Channel
from launcher.hypervisor.inside.disk import (
    CONFIG_VARIABLE,
    FOLDER,
    MOUNT_POINT,
    OVERRIDES_VARIABLE,
    find_seed_disk,
    mount_seed,
    read_seed,
)
from launcher.hypervisor.inside.entrypoint import PROGRAM, control_socket_of, read_environment
from launcher.hypervisor.inside.session import Session

NO_CONFIG = 78


def main() -> int:
    """Run the entrypoint with what is in /etc/vllmd, else with what is on the seed disk."""
    folder = FOLDER
    device = find_seed_disk()
    if device is not None:
        mount_seed(device)
        folder = MOUNT_POINT
    environ = {**read_environment(), **_own_environment(), **read_seed(folder).environment}
    session = Session(environ, Channel(), None)
    if CONFIG_VARIABLE not in environ:
        session.end(NO_CONFIG, f"there is no vllm.toml, neither on a seed disk nor in {FOLDER}")
        return NO_CONFIG
    session.say("")
    named = control_socket_of(environ[CONFIG_VARIABLE], environ.get(OVERRIDES_VARIABLE, ""))
    return session.run((PROGRAM, "run"), named)


def _own_environment() -> dict[str, str]:
    """Return what the unit's own files set, without systemd's words for us alone."""
    private = ("NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID")
    return {name: value for name, value in os.environ.items() if name not in private}


if __name__ == "__main__":
    raise SystemExit(main())
