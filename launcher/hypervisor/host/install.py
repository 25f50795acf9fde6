"""Put units and environment files where systemd finds them, and take them away again."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from importlib import resources

from launcher.config.reader import Refusal
from launcher.errors import HostError
from launcher.hypervisor.files import write_atomic
from launcher.hypervisor.guest.manifest import MANIFEST_NAME, find_manifest, require_manifest
from launcher.hypervisor.host.units import (
    INITIALIZE_UNIT,
    MARK,
    GuestFiles,
    environment_path,
    escape_specifiers,
    guest_variables,
    log_path,
    render_environment,
    render_initialize_unit,
    render_runtime_unit,
    unit_name,
)
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.hypervisor.host.model import HostConfig, Runtime
    from launcher.hypervisor.host.units import Installation

PROGRAM = "vllmd-hypervisor"
MODULE = "launcher.cli.hypervisor"
UNIT_MODE, ENVIRONMENT_MODE = 0o644, 0o600
FOLDER_MODE = 0o700
RUNNING_SYSTEMD = "/run/systemd/system"  # sd_booted(3)


@record
class PlannedFile:
    """One file to be there. `owner` is a user's and group's number; None leaves it to be ours."""

    path: str
    text: str
    mode: int
    owner: tuple[int, int] | None = None


@record
class PlannedFolder:
    """One folder to be there."""

    path: str
    owner: tuple[int, int] | None = None


def read_template(name: str) -> str:
    """Return a template of this package."""
    return (resources.files("launcher.hypervisor.host") / "templates" / name).read_text("utf-8")


def find_program() -> tuple[str, ...]:
    """Return the words that start `vllmd-hypervisor` from anywhere: a unit has no PATH of ours."""
    own = os.path.abspath(sys.argv[0])
    if os.path.basename(own) == PROGRAM and os.access(own, os.X_OK):
        return (own,)
    found = shutil.which(PROGRAM)
    if found:
        return (os.path.abspath(found),)
    root = os.path.dirname(str(resources.files("launcher")))
    return ("/usr/bin/env", f"PYTHONPATH={root}", sys.executable, "-m", MODULE)


def find_guest_files(config: HostConfig, runtime: Runtime) -> GuestFiles:
    """Return what a runtime boots from: what its file says, else what `image build` has made.

    Raises:
        HostError: a manifest cannot be read.
    """
    state, guest = config.common.state_dir, runtime.guest
    own = f"{state}/{runtime.name}/system"
    images = [path for path in (f"{own}.img", f"{own}.qcow2") if os.path.exists(path)]
    shared = f"{state}/guest"
    built = require_manifest(shared) if os.path.exists(f"{shared}/{MANIFEST_NAME}") else None
    image = guest.image or (images[0] if images else built.image if built else f"{own}.img")
    beside = find_manifest(image) or built
    # With a manifest beside the image, `start` finds the command line there by itself.
    return GuestFiles(
        kernel=guest.kernel or (beside.kernel if beside else f"{shared}/vmlinuz"),
        image=image,
        initramfs=guest.initramfs or (beside.initramfs if beside and not guest.kernel else ""),
        cmdline=guest.cmdline,
        readonly=beside is not None and beside.readonly and beside.image == image,
    )


def plan_installation(
    config: HostConfig, installation: Installation, systemd_dir: str, owner: tuple[int, int] | None
) -> tuple[tuple[PlannedFolder, ...], tuple[PlannedFile, ...]]:
    """Return the folders and files of all runtimes.

    Raises:
        Refusal: the template has a placeholder that is none.
        HostError: a manifest of an image cannot be read.
    """
    files = []
    folders = [config.common.config_dir, config.common.state_dir]
    for runtime in config.runtimes:
        guest = find_guest_files(config, runtime)
        variables = guest_variables(config, runtime, guest, installation)
        unit = render_runtime_unit(config, runtime, guest, installation)
        path = environment_path(config, runtime)
        files += [
            _environment_file(path, render_environment(variables), owner),
            PlannedFile(path=f"{systemd_dir}/{unit_name(runtime)}", text=unit, mode=UNIT_MODE),
        ]
        folders.append(os.path.dirname(log_path(installation, runtime)))
    if config.runtimes and not installation.user_units:
        text = render_initialize_unit(config, installation, read_template("initialize.service"))
        path = f"{systemd_dir}/{INITIALIZE_UNIT}"
        files.append(PlannedFile(path=path, text=text, mode=UNIT_MODE))
    planned = [PlannedFolder(path=path, owner=owner) for path in dict.fromkeys(folders)]
    return (*planned, PlannedFolder(path=systemd_dir)), tuple(files)


def _environment_file(path: str, text: str, owner: tuple[int, int] | None) -> PlannedFile:
    return PlannedFile(path=path, text=text, mode=ENVIRONMENT_MODE, owner=owner)


def is_current(file: PlannedFile) -> bool:
    """Tell whether a file is there as planned.

    Raises:
        HostError: a file of somebody else is in its place.
    """
    text = ""
    try:
        found = os.stat(file.path)
        if stat.S_ISREG(found.st_mode):  # what is a FIFO would never end
            with open(file.path, encoding="utf-8", errors="replace") as stream:
                text = stream.read()
    except FileNotFoundError:
        return False
    if not text.startswith(MARK):
        raise HostError(
            f"'{file.path}' is there, and was not written by us", "move it away, or remove it"
        )
    owner = file.owner or (found.st_uid, found.st_gid)
    same = (found.st_mode & 0o7777, (found.st_uid, found.st_gid)) == (file.mode, owner)
    return same and text == file.text


def install_file(file: PlannedFile) -> None:
    """Write a file with its mode and owner.

    Raises:
        HostError: it cannot be written.
    """
    try:
        write_atomic(file.path, file.text.encode(), file.mode, file.owner)
    except OSError as error:
        raise _unwritable(file.path, error) from None


def make_folder(folder: PlannedFolder) -> None:
    """Make a folder and those above it; new ones belong to the owner alone.

    Raises:
        HostError: it cannot be made.
    """
    if os.path.isdir(folder.path):
        return
    above = os.path.dirname(folder.path)
    make_folder(PlannedFolder(path=above, owner=folder.owner))
    try:
        os.mkdir(folder.path, FOLDER_MODE if folder.owner is not None else 0o755)
        if folder.owner is not None:
            os.chown(folder.path, *folder.owner, follow_symlinks=False)
    except OSError as error:
        raise _unwritable(folder.path, error) from None


def find_installed(systemd_dir: str, config_dir: str) -> tuple[str, ...]:
    """Return the units and environment files that are ours, also of runtimes that are gone.

    Raises:
        HostError: one of the folders cannot be read, or is none.
    """
    places = [
        (systemd_dir, ("vllmd-runtime@", INITIALIZE_UNIT), ".service"),
        (config_dir, ("hypervisor-",), ".env"),
    ]
    found = []
    for folder, starts, end in places:
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unwritable(folder, error) from None
        paths = [f"{folder}/{n}" for n in names if n.startswith(starts) and n.endswith(end)]
        found += [path for path in paths if _is_ours(path)]
    return tuple(found)


def find_readers(paths: Iterable[str], folders: Iterable[str]) -> dict[str, str]:
    """Return those environment files that a unit in some other folder reads, each with its unit.

    Units of the system and of a user are in two folders, and may share one `config_dir`.
    """
    readers = {}
    for path in paths:
        name = os.path.basename(path).removeprefix("hypervisor-").removesuffix(".env")
        # As we write it, and as a template of the user's own may.
        words = (escape_specifiers(path), "/hypervisor-%i.env")
        for folder in folders if path.endswith(".env") else ():
            unit = f"{folder}/vllmd-runtime@{name}.service"
            if any(word in _read_unit(unit) for word in words):
                readers[path] = unit
    return readers


def remove_file(path: str) -> None:
    """Remove a file.

    Raises:
        HostError: it cannot be removed.
    """
    try:
        os.unlink(path)
    except OSError as error:
        raise _unwritable(path, error) from None


def run_systemctl(words: tuple[str, ...], *, user: bool) -> None:
    """Tell the running systemd something.

    Raises:
        HostError: it refuses.
    """
    argv, done = _ask_systemctl(words, user=user)
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise HostError(f"'{' '.join(argv)}' failed: {reason}", "run it by hand")


def is_read_by_systemd(folder: str, *, user: bool) -> bool:
    """Tell whether a running systemd, the system's or the user's, reads the units of a folder.

    Those elsewhere (for an image, a package) are not its own, and it may well have others of the
    same names. A user who is not logged in has none that runs: it will read them when it starts.
    Where that of the system does not say, it is told, and says itself what is wrong.
    """
    if not os.path.isdir(RUNNING_SYSTEMD) or shutil.which("systemctl") is None:
        return False
    _, done = _ask_systemctl(("show", "--property=UnitPath", "--value"), user=user)
    places = done.stdout.split()
    if done.returncode or not places:
        return not user
    return os.path.realpath(folder) in map(os.path.realpath, places)


def _ask_systemctl(
    words: tuple[str, ...], *, user: bool
) -> tuple[list[str], subprocess.CompletedProcess[str]]:
    argv = ["systemctl", *(["--user"] if user else []), *words]
    # By su and sudo -u the place of the user's own is not set, and it may run all the same.
    environ = {"XDG_RUNTIME_DIR": f"/run/user/{os.geteuid()}", **os.environ}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    return argv, done


def read_own_template(path: str) -> str:
    """Return a template of the user's own.

    Raises:
        Refusal: it cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        strerror = getattr(error, "strerror", None)
        reason = strerror.lower() if strerror else "it is not UTF-8"
        raise Refusal(
            f"'{path}' cannot be read: {reason}", "correct the path, or unset it for our template"
        ) from None


def _is_ours(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().rstrip("\n") == MARK
    except OSError:
        return False


def _read_unit(path: str) -> str:
    if not os.path.isfile(path):
        return ""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _unwritable(path: str, error: OSError) -> HostError:
    hint = "run it as root, or with --user" if isinstance(error, PermissionError) else ""
    return HostError(f"'{path}': {(error.strerror or str(error)).lower()}", hint)
