"""Two machines on one: a network namespace for the second, where the kernel lets us make one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = "127.0.0.1"


class Machine(NamedTuple):
    """Where programs of one machine run: words before theirs, its address, their variables."""

    prefix: tuple[str, ...]
    address: str
    environ: dict[str, str]


def _ip(*words: str) -> bool:
    done = subprocess.run(["ip", *words], capture_output=True, check=False)
    return done.returncode == 0


def _machine(prefix: tuple[str, ...], address: str, interface: str) -> Machine:
    # Without a default route, programs cannot find out which address is theirs.
    own = {"VLLM_HOST_IP": address, "GLOO_SOCKET_IFNAME": interface}
    return Machine(prefix, address, own)


@contextlib.contextmanager
def two_machines() -> Iterator[tuple[Machine, Machine]]:
    """Join this machine and a namespace by a pair of interfaces; else both are on the loopback."""
    mark = f"{os.getpid() % 100_000}"
    name, here, there = f"vllmd{mark}", f"vt{mark}a", f"vt{mark}b"
    net = f"198.18.{os.getpid() % 250}"  # RFC 2544: no network that anybody uses
    first, second = f"{net}.1", f"{net}.2"
    inside = ("-n", name)
    steps = (
        ("netns", "add", name),
        ("link", "add", here, "type", "veth", "peer", "name", there, "netns", name),
        ("addr", "add", f"{first}/24", "dev", here),
        ("link", "set", here, "up"),
        (*inside, "addr", "add", f"{second}/24", "dev", there),
        (*inside, "link", "set", there, "up"),
        (*inside, "link", "set", "lo", "up"),
    )
    try:
        if shutil.which("ip") and all(_ip(*step) for step in steps):
            prefix = ("ip", "netns", "exec", name)
            yield _machine((), first, here), _machine(prefix, second, there)
        else:
            alone = _machine((), LOOPBACK, "lo")
            yield alone, alone
    finally:
        if shutil.which("ip"):
            _ip("link", "del", here)
            _ip("netns", "del", name)
