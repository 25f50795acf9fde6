"""Put a guest's root together in a folder: a process of its own, with its root in that folder.

    python -m launcher.hypervisor.image.assembly JOB.json

It prints one line of JSON: `{"python", "bytes", "files"}`, or `{"error", "hint"}`.
"""

from __future__ import annotations

import glob
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tarfile
from contextlib import ExitStack
from typing import IO, Any

from launcher.errors import HostError, LauncherError
from launcher.hypervisor.guest.manifest import DEBIAN
from launcher.hypervisor.image.contents import (
    FOLDERS,
    REMOVED,
    REMOVED_PATTERNS,
    File,
    default_files,
    read_launcher,
    render_contents,
)
from launcher.hypervisor.image.layers import Layer

OLDEST_PYTHON = (3, 11)
PYTHON_NAME = re.compile(r"python(\d+)\.(\d+)$")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BLOCK = 4096


def main(argv: list[str]) -> int:
    """Do the job in the named file."""
    with open(argv[0], encoding="utf-8") as file:
        job = json.load(file)
    try:
        answer = assemble(job)
    except LauncherError as error:
        answer = {"error": error.message, "hint": error.hint}
    print(json.dumps(answer), flush=True)
    return int("error" in answer)


def assemble(job: dict[str, Any]) -> dict[str, object]:
    """Unpack layers and copies into the root, add what is ours, and say what came of it.

    Raises:
        HostError: a layer is malformed, or the root cannot run the launcher.
    """
    with open(job["busybox"], "rb") as file:
        busybox = file.read()
    # What comes from outside is read or opened before the root changes.
    launcher = read_launcher()
    with ExitStack() as stack:
        layers = [_open_layer(each, stack) for each in job["layers"]]
        os.chroot(job["root"])
        os.chdir("/")
        for layer in layers:
            layer.unpack()
    python = job["python"] or find_python(job["environment"].get("PATH", PATH))
    require_parts(python, job["flavour"])
    clean()
    contents = launcher | render_contents(job["flavour"], python, job["environment"], busybox)
    contents |= {path: each for path, each in default_files().items() if not os.path.exists(path)}
    for path, each in contents.items():
        write(path, each)
    return {"python": python, **measure()}


def find_python(path: str) -> str:
    """Return the root's Python, by the PATH of its image.

    Raises:
        HostError: there is none, or it is too old.
    """
    found = shutil.which("python3", path=path) or shutil.which("python3", path=PATH)
    if found is None:
        raise HostError("the image has no 'python3' on its PATH", "name it with --python PATH")
    version = PYTHON_NAME.search(os.path.realpath(found))
    if version and (int(version[1]), int(version[2])) < OLDEST_PYTHON:
        raise HostError(
            f"the image's '{found}' is Python {version[1]}.{version[2]}; the launcher needs 3.11",
            "name a newer one with --python PATH",
        )
    return found


def require_parts(python: str, flavour: str) -> None:
    """Check that the root can run what its flavour starts.

    Raises:
        HostError: a part is missing.
    """
    if not os.access(python, os.X_OK):
        raise HostError(f"the image has no program '{python}'", "name another with --python PATH")
    if flavour == DEBIAN and not os.path.exists("/usr/bin/cloud-init"):
        raise HostError(
            "the image has no cloud-init, which the flavour 'debian' needs",
            "install systemd and cloud-init in it, or take --flavour minimal",
        )


def clean() -> None:
    """Remove what belongs to one machine only, and make the folders that every root needs."""
    for pattern in (*REMOVED, *REMOVED_PATTERNS):
        for path in glob.glob(pattern):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    for folder in FOLDERS:
        os.makedirs(folder, exist_ok=True)
    os.chmod("/tmp", 0o1777)  # noqa: S103, S108  (as everywhere)


def write(path: str, file: File) -> None:
    """Write a file of ours over whatever is there."""
    os.makedirs(posixpath.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    if file.link:
        os.symlink(file.link, path)
        return
    with open(path, "xb") as target:
        target.write(file.content)
    os.chmod(path, file.mode)


def measure() -> dict[str, int]:
    """Return how much room the root takes on a disk, and how many files there are."""
    room = count = 0
    for folder, _, names in os.walk("/"):
        count += 1 + len(names)
        room += BLOCK
        for name in names:
            size = os.lstat(posixpath.join(folder, name)).st_size
            room += -(-size // BLOCK) * BLOCK
    return {"bytes": room, "files": count}


def _open_layer(each: dict[str, Any], stack: ExitStack) -> Layer:
    """Open an archive: a file, a member of one, or what a command writes."""
    stream: IO[bytes] | None
    if "command" in each:
        process = stack.enter_context(subprocess.Popen(each["command"], stdout=subprocess.PIPE))
        stack.callback(_require_success, process)
        stream = process.stdout
    elif each.get("member"):
        outer = stack.enter_context(tarfile.open(each["path"]))  # noqa: SIM115
        stream = outer.extractfile(each["member"])
    else:
        stream = stack.enter_context(open(each["path"], "rb"))  # noqa: SIM115
    if stream is None:
        raise HostError(f"'{each['path']}' has no layer '{each['member']}'")
    try:
        archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r|*"))  # noqa: SIM115
    except tarfile.TarError:
        name = each.get("member") or each.get("path")
        raise HostError(
            f"the layer '{name}' is no tar archive, or packed in a way that Python cannot read",
            "write the image with 'docker save', which does not pack layers",
        ) from None
    return Layer(archive, each.get("prefix", "/"), keep_links=bool(each.get("keep_links")))


def _require_success(process: subprocess.Popen[bytes]) -> None:
    if process.stdout:
        process.stdout.close()
    if process.wait():
        raise HostError(f"what writes a layer ended with code {process.returncode}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
