"""What we put into a guest's root: the launcher, its first process or its unit, a few files."""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
from importlib.resources import files

from launcher.hypervisor.guest.manifest import DEBIAN, MINIMAL
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

HOME = "/opt/vllmd"
INIT_PROGRAM = f"{HOME}/bin/vllmd-init"
PACKAGES = ("launcher", "tomli", "deepmerge")
LEFT_OUT = {"tests", "__pycache__"}
KEPT = (".py", ".tsv")
SETTINGS = "/etc/vllmd/image.json"
UNIT_PATH = "/etc/systemd/system/vllmd.service"
# What a root must have for the kernel's file systems, and for whoever logs in.
FOLDERS = ("/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/etc/vllmd", "/var/lib/vllmd")  # noqa: S108
# What belongs to one machine only, or is left over from the building of the root.
REMOVED = ("/.dockerenv", "/etc/machine-id", "/etc/resolv.conf", "/etc/hostname",
           "/var/lib/dbus/machine-id", "/var/lib/systemd/random-seed")  # fmt: skip
REMOVED_PATTERNS = ("/etc/ssh/ssh_host_*", "/run/*", "/tmp/*", "/var/lib/apt/lists/*",  # noqa: S108
                    "/var/cache/apt/*.bin", "/var/log/*.log", "/root/.*_history")  # fmt: skip

PROGRAM = """\
#!{python} -I
import sys

sys.path.insert(0, "{home}")
from {module} import main

raise SystemExit(main())
"""
MODULES = {
    "vllmd": "launcher.cli.main",
    "vllmd-init": "launcher.hypervisor.inside.minimal",
    "vllmd-service": "launcher.hypervisor.inside.service",
}
FLAVOUR_PROGRAMS = {MINIMAL: ("vllmd", "vllmd-init"), DEBIAN: ("vllmd", "vllmd-service")}
# busybox calls it with what a DHCP server has said in the environment.
LEASE = f"""\
#!{HOME}/bin/busybox sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
b={HOME}/bin/busybox
$b ifconfig "$interface" "$ip" netmask "${{subnet:-255.255.255.0}}"
for gateway in $router; do $b route add default gw "$gateway" dev "$interface"; done
for server in $dns; do echo "nameserver $server"; done > /etc/resolv.conf
"""
UNIT = f"""\
[Unit]
Description=vLLM servers of the configuration on the seed disk
Documentation=man:systemd.service(5)
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={HOME}/bin/vllmd-service
EnvironmentFile=-/etc/vllmd/environment
RuntimeDirectory=vllmd
RuntimeDirectoryMode=0700
KillMode=mixed
# For requests under way: the launcher has limits of its own, and so has the host.
TimeoutStopSec=15min
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=78
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
"""


@record
class File:
    """A file of the root, or a link where `link` is set. It belongs to root."""

    content: bytes = b""
    mode: int = 0o644
    link: str = ""


def read_launcher() -> dict[str, File]:
    """Return this launcher and what it imports, by absolute path in the guest."""
    return {f"{HOME}/{name}": File(content=content) for name, content in _package_files()}


def render_contents(
    flavour: str, python: str, environment: Mapping[str, str], busybox: bytes
) -> dict[str, File]:
    """Render what we put into a root besides the launcher, by absolute path."""
    found: dict[str, File] = {}
    for name in FLAVOUR_PROGRAMS[flavour]:
        text = PROGRAM.format(python=python, home=HOME, module=MODULES[name])
        found[f"{HOME}/bin/{name}"] = File(content=text.encode(), mode=0o755)
    settings = {"environment": dict(environment)}
    found |= {
        f"{HOME}/bin/busybox": File(content=busybox, mode=0o755),
        f"{HOME}/bin/lease": File(content=LEASE.encode(), mode=0o755),
        "/usr/local/bin/vllmd": File(link=f"{HOME}/bin/vllmd"),
        SETTINGS: File(content=json.dumps(settings, indent=2).encode() + b"\n", mode=0o600),
        "/etc/hostname": File(content=b"vllmd\n"),
        "/etc/resolv.conf": File(),
        # Empty: systemd makes one at the first start, so two guests never share it.
        "/etc/machine-id": File(),
    }
    if flavour == DEBIAN:
        found |= _render_units()
    return found


def default_files() -> dict[str, File]:
    """Return files that are written only where the root has none."""
    return {
        "/etc/hosts": File(content=b"127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\tvllmd\n"),
        "/etc/passwd": File(content=b"root:x:0:0:root:/root:/bin/sh\n"),
        "/etc/group": File(content=b"root:x:0:\n"),
    }


def _render_units() -> dict[str, File]:
    wants = "/etc/systemd/system/multi-user.target.wants"
    resolved = "/run/systemd/resolve/stub-resolv.conf"
    return {
        UNIT_PATH: File(content=UNIT.encode()),
        f"{wants}/vllmd.service": File(link=UNIT_PATH),
        f"{wants}/systemd-networkd.service": File(
            link="/lib/systemd/system/systemd-networkd.service"
        ),
        "/etc/resolv.conf": File(link=resolved),
    }


def _package_files() -> Iterator[tuple[str, bytes]]:
    for package in PACKAGES:
        for name, content in _walk(files(package), package):
            yield name, content
            if name.endswith(".py"):
                yield _compiled_name(name), _compile(name, content)


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = f"{prefix}/{each.name}"
        if each.is_dir() and each.name not in LEFT_OUT:
            yield from _walk(each, name)
        elif each.is_file() and each.name.endswith(KEPT):
            yield name, each.read_bytes()


def _compiled_name(name: str) -> str:
    return importlib.util.cache_from_source(name)


def _compile(name: str, source: bytes) -> bytes:
    """Return bytecode that is taken without a look at the source (PEP 552).

    A guest whose Python is of another version compiles for itself.
    """
    code = compile(source, os.path.join(HOME, name), "exec", dont_inherit=True, optimize=0)
    flags = (1).to_bytes(4, "little")
    head = importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source)
    return head + marshal.dumps(code)
