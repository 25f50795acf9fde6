"""Install a bundle whose tar is replaced, or written to, between its checksum and its unpacking.

Run as `python -m tests.programs.disturbed_install TAR OTHER FOLDER replace|rewrite`.
"""

from __future__ import annotations

import io
import os
import shutil
import sys

from launcher.bundle.install import Order, install
from launcher.bundle.progress import Progress
from launcher.bundle.tools import RATTLER
from launcher.errors import LauncherError


class Watched(io.StringIO):
    """What an installation says; at one word of it, the tar becomes the other one."""

    def __init__(self, tar: str, other: str, how: str) -> None:
        super().__init__()
        self._tar, self._other, self._how = tar, other, how

    def write(self, text: str) -> int:
        if "unpacking" in text:
            self._disturb()
        return sys.stderr.write(text)

    def _disturb(self) -> None:
        if self._how == "replace":
            os.replace(self._other, self._tar)
            return
        before = os.stat(self._tar)
        shutil.copyfile(self._other, self._tar)
        os.utime(self._tar, ns=(before.st_atime_ns, before.st_mtime_ns))


def main(tar: str, other: str, folder: str, how: str) -> int:
    order = Order(tar=tar, root=folder, environments=("default",), by=RATTLER)
    try:
        install(order, os.environ, Progress(Watched(tar, other, how)))
    except LauncherError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
