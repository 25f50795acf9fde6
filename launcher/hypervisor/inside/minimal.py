"""The first process of a minimal guest: prepare the machine, run the entrypoint, power off."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import sys
import time
import traceback

from launcher.hypervisor.inside.button import PowerButton
from launcher.hypervisor.inside.channel import Channel
from launcher.hypervisor.inside.disk import (
    CONFIG_VARIABLE,
    MOUNT_POINT,
    OVERRIDES_VARIABLE,
    Seed,
    find_seed_disk,
    mount_seed,
    read_seed,
)
from launcher.hypervisor.inside.entrypoint import PROGRAM, control_socket_of, read_environment
from launcher.hypervisor.inside.kernel import (
    MS_RDONLY,
    MS_REMOUNT,
    RB_POWER_OFF,
    TIOCOUTQ,
    mount,
    reboot,
)
from launcher.hypervisor.inside.mounts import mount_all
from launcher.hypervisor.inside.network import find_devices, plan_network, set_up
from launcher.hypervisor.inside.session import Session

NO_CONFIG = 78
CONSOLE_S = 2.0  # for a host that does not read: it misses the end of what was said


def main() -> None:
    """Run the guest. Never returns: the machine is off at the end, whatever happens."""
    try:
        _run()
    except Exception:  # noqa: BLE001  (a first process that dies takes the reason with it)
        traceback.print_exc()
    finally:
        _power_off()


def _run() -> None:
    troubles = mount_all()
    seed, trouble = _find_seed()
    troubles += trouble
    troubles += _set_up_network(seed)
    for each in troubles:
        print(f"vllmd: {each}", flush=True)
    environ = {**read_environment(), **seed.environment}
    session = Session(environ, Channel(), PowerButton())
    if CONFIG_VARIABLE not in environ:
        session.end(NO_CONFIG, troubles[0] if troubles else "the seed disk holds no vllm.toml")
        return
    session.say("; ".join(troubles))
    named = control_socket_of(environ[CONFIG_VARIABLE], environ.get(OVERRIDES_VARIABLE, ""))
    code = session.run((PROGRAM, "run"), named)
    print(f"vllmd: the entrypoint has ended with code {code}: powering off", flush=True)


def _find_seed() -> tuple[Seed, list[str]]:
    device = find_seed_disk()
    if device is None:
        return Seed(environment={}), ["there is no disk with the label CIDATA"]
    try:
        mount_seed(device)
        return read_seed(MOUNT_POINT), []
    except OSError as error:
        return Seed(environment={}), [f"the seed disk {device} cannot be read: {error.strerror}"]


def _set_up_network(seed: Seed) -> list[str]:
    try:
        plan = plan_network(seed.network_config, find_devices())
    except (ValueError, OSError) as error:
        return [f"the network is not set up: {error}"]
    return set_up(plan)


def _power_off() -> None:
    """End whoever is left, write all to disk, and switch the machine off."""
    with contextlib.suppress(ProcessLookupError):  # nobody is left
        os.kill(-1, signal.SIGKILL)
    os.sync()
    try:
        mount("", "/", "", MS_REMOUNT | MS_RDONLY)
    except OSError as error:
        print(f"vllmd: the root stays writable: {error.strerror}", flush=True)
    drain_console(sys.stdout.fileno(), CONSOLE_S)
    reboot(RB_POWER_OFF)


def drain_console(console: int, within_s: float) -> bool:
    """Wait until a terminal has sent what it was given, for so many seconds; tell whether it has.

    The kernel keeps it in a buffer that a power-off throws away, with the reason for it.
    """
    until = time.monotonic() + within_s
    try:
        while struct.unpack("i", fcntl.ioctl(console, TIOCOUTQ, bytes(4)))[0]:
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
    except OSError:  # no terminal
        pass
    return True


if __name__ == "__main__":
    main()
