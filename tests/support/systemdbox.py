"""A real systemd in a container of this machine's own root folder: nothing in it outlives the test.

The root folder is the lower half of an overlay whose upper half is memory; the network is the
container's own. What a test wants done in it is a shell script.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.require import require, require_program

if TYPE_CHECKING:
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SUITE = "vm"
USER, UID = "guests", 4242
SYSTEMD = "/lib/systemd/systemd"
# In the container: the folder of the test, what the script says, and its exit code.
SHARED = "/srv/box"
TARGET = """\
[Unit]
Requires=basic.target box.service
After=basic.target
AllowIsolate=yes
"""
SERVICE = f"""\
[Unit]
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sh -c 'sh -eu {SHARED}/script >{SHARED}/said 2>&1; echo $$? >{SHARED}/code'
"""
PREPARE = f"""\
# Files of the container's, which the kernel of the machine has too.
umount /proc/kmsg /proc/sys/kernel/random/boot_id 2>/dev/null || true
umount /proc/sys/kernel/random/boot_id 2>/dev/null || true
mkdir -p /dev/net
test -e /dev/net/tun || mknod /dev/net/tun c 10 200
chmod 666 /dev/net/tun
for way in PLACES; do
    while test "$way" != /; do chmod a+x "$way" 2>/dev/null || true; way=$(dirname "$way"); done
done
cat >/usr/local/bin/vllmd-hypervisor <<'END'
#!/bin/sh
PYTHONPATH={ROOT} exec {sys.executable} -B -m launcher.cli.hypervisor "$@"
END
chmod 755 /usr/local/bin/vllmd-hypervisor
mkdir -p /home/{USER} && chown {USER}: /home/{USER}
export HOME=/home/{USER} VLLMD_HYPERVISOR_CONFIG={SHARED}/host.toml
"""


def require_box() -> None:
    """Need what runs a systemd."""
    require(SUITE, "a container with systemd needs root", present=os.geteuid() == 0)
    for program in ("systemd-nspawn", "unshare", "runuser"):
        require_program(SUITE, program)
    require(SUITE, f"'{SYSTEMD}' is not there", present=os.path.exists(SYSTEMD))


class SystemdBox:
    """A systemd that runs one script."""

    def __init__(self, folder: Path) -> None:
        require_box()
        self.folder = folder
        self._binds = {ROOT, sys.prefix, sys.base_prefix}

    def show(self, path: str, place: str) -> None:
        """Show a folder of the machine at another place in the container, to be read."""
        self._binds.add(f"{path}:{place}")

    def run(self, script: str, limit_s: float) -> str:
        """Run a script as root, with a user `guests`; it has to succeed. Return what it says."""
        places = " ".join(shlex.quote(p) for p in sorted(self._binds) if ":" not in p)
        self._write("script", PREPARE.replace("PLACES", places) + script)
        self._write("box.target", TARGET)
        self._write("box.service", SERVICE)
        for name, line in (
            ("passwd", f"{USER}:x:{UID}:{UID}::/home/{USER}:/bin/sh\n"),
            ("group", f"{USER}:x:{UID}:\nkvm:x:{UID + 1}:\n"),
            ("shadow", f"{USER}:*:19000:0:99999:7:::\n"),
        ):
            self._write(name, _read(f"/etc/{name}") + line)
        (self.folder / "shadow").chmod(0o600)
        self.folder.chmod(0o755)  # for the user in the container
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-eu", "-c", self._start()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=limit_s,
        )
        said, code = self._found("said"), self._found("code").strip()
        assert code == "0", f"exit code {code or 'unknown'}:\n{said}\n{done.stdout[-4000:]}"
        return said

    def _start(self) -> str:
        binds = [f"--bind-ro={path}" for path in sorted(self._binds)]
        binds += [f"--bind={self.folder}:{SHARED}"]
        binds += [
            f"--bind-ro={self.folder}/{name}:/etc/{name}" for name in ("passwd", "group", "shadow")
        ]
        binds += [
            f"--bind-ro={self.folder}/{name}:/etc/systemd/system/{name}"
            for name in ("box.target", "box.service")
        ]
        words = [
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
            "--capability=CAP_NET_ADMIN", "--console=pipe", *binds,
            f"--directory={self.folder}/layers/root", SYSTEMD, "systemd.unit=box.target",
        ]  # fmt: skip
        layers = f"{self.folder}/layers"
        return f"""
mkdir -p {layers}; mount -t tmpfs -o size=1G none {layers}
mkdir {layers}/upper {layers}/work {layers}/root
mount -t overlay -o lowerdir=/,upperdir={layers}/upper,workdir={layers}/work none {layers}/root
exec {shlex.join(words)}
"""

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def _found(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(errors="replace") if path.exists() else ""


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
